#include "@name@_run.h"

#if defined(ARDUINO)
// Arduino finds a library by a header of its own. If you use another port of TensorFlow Lite Micro, write its header here.
#include <Chirale_TensorFlowLite.h>
#endif
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

// Versions from 2026 on keep most names in tflite::micro, those before in tflite.
namespace tflite {
namespace micro {}
}  // namespace tflite

namespace {

using namespace tflite;
using namespace tflite::micro;

// Kernels that are written for a processor need scratch memory beside what the reference kernels need.
#if defined(CONFIG_IDF_TARGET_ESP32S3) || defined(CONFIG_IDF_TARGET_ESP32P4)
constexpr size_t kScratchBytes = @NAME@_ESP_NN_BYTES;
#elif defined(__arm__)
constexpr size_t kScratchBytes = @NAME@_CMSIS_NN_BYTES;
#else
constexpr size_t kScratchBytes = 0;
#endif
// The version of TFLite's file format.
constexpr unsigned kSchema = 3;

alignas(16) uint8_t arena[@NAME@_ARENA_BYTES + kScratchBytes];
MicroMutableOpResolver<@operators@> resolver;
MicroInterpreter *interpreter = nullptr;
const char *problem = "call @name@_begin() first";

bool Fail(const char *reason) {
  problem = reason;
  return false;
}

bool AddOperators() {
@add_operators@
  return true;
}

float ToProbability(@name@_output value) {
  return @to_probability@;
}

}  // namespace

int @name@_begin(void) {
  if (interpreter != nullptr) return 1;
  const Model *model = GetModel(@name@_model);
  if (model->version() != kSchema) return Fail("the model's file format is not the one of this TensorFlow Lite Micro");
  if (!AddOperators()) return Fail("this TensorFlow Lite Micro lacks an operator of the model");
  static MicroInterpreter only(model, resolver, arena, sizeof(arena));
  if (only.AllocateTensors() != kTfLiteOk) return Fail("the arena is too small: raise @NAME@_ARENA_BYTES in @name@.h");
  if (only.input(0)->bytes != @NAME@_PIXELS * sizeof(@name@_input) ||
      only.output(0)->bytes != @NAME@_CLASSES * sizeof(@name@_output)) {
    return Fail("the model is another one than its header says");
  }
  interpreter = &only;
  problem = "";
  return 1;
}

int @name@_classify(const uint8_t *pixels, @name@_answer *answer) {
  if (interpreter == nullptr && !@name@_begin()) return 0;
  @name@_input *input = static_cast<@name@_input *>(interpreter->input(0)->data.data);
  for (int i = 0; i < @NAME@_PIXELS; i++) input[i] = @to_input@;
  if (interpreter->Invoke() != kTfLiteOk) return Fail("TensorFlow Lite Micro failed to run the model");
  answer->label = 0;
  for (int i = 1; i < @NAME@_CLASSES; i++) {
    if (@name@_probability(i) > @name@_probability(answer->label)) answer->label = i;
  }
  answer->probability = @name@_probability(answer->label);
  float certainty = answer->probability;
@look_alikes@
  answer->is_rejected = static_cast<double>(certainty) < @NAME@_REJECT_BELOW;
  return 1;
}

float @name@_probability(int label) {
  return ToProbability(@name@_raw()[label]);
}

const @name@_output *@name@_raw(void) {
  return static_cast<const @name@_output *>(interpreter->output(0)->data.data);
}

const char *@name@_problem(void) {
  return problem;
}

size_t @name@_arena_used(void) {
  return interpreter == nullptr ? 0 : interpreter->arena_used_bytes();
}

size_t @name@_arena_size(void) {
  return sizeof(arena);
}
