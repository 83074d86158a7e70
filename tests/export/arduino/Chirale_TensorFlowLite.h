// The header by which Arduino finds the library Chirale_TensorFLowLite; it is empty there, too.
#pragma once
