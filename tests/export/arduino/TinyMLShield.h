// Declarations of the camera of the library Harvard_TinyMLx; see Arduino.h.
#pragma once

enum { QCIF = 3, RGB565 = 1, GRAYSCALE = 2, OV7675 = 1 };

struct OV767X {
  int begin(int resolution, int format, int fps, int camera_id);
  void readFrame(void *buffer);
};
extern OV767X Camera;
