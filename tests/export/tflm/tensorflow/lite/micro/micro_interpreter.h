// The interpreter of TensorFlow Lite Micro; see micro_mutable_op_resolver.h.
#pragma once

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace tflite {
namespace micro {

class MicroResourceVariables;
class MicroProfilerInterface;
enum class MemoryPlannerType { kGreedy, kLinear };

struct TfLiteTensor {
  struct {
    int type;
    void *params;
  } quantization;
  struct {
    float scale;
    int32_t zero_point;
  } params;
  union {
    void *data;
  } data;
  void *dims;
  size_t bytes;
};

class MicroAllocator {
 public:
  static MicroAllocator *Create(uint8_t *arena, size_t size, MemoryPlannerType type);
  size_t used_bytes() const;
};

class MicroInterpreter {
 public:
  MicroInterpreter(const Model *model, const MicroOpResolver &resolver, MicroAllocator *allocator,
                   MicroResourceVariables *variables = nullptr, MicroProfilerInterface *profiler = nullptr);
  MicroInterpreter(const Model *model, const MicroOpResolver &resolver, uint8_t *arena, size_t size)
      : MicroInterpreter(model, resolver, Remember(MicroAllocator::Create(arena, size, MemoryPlannerType::kGreedy))) {}
  ~MicroInterpreter();
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor *input(size_t index);
  TfLiteTensor *output(size_t index);
  size_t arena_used_bytes() const { return last_->used_bytes(); }

 private:
  static MicroAllocator *Remember(MicroAllocator *allocator) { return last_ = allocator; }
  static inline MicroAllocator *last_ = nullptr;
  // Larger than the real one, whose fields only compiled code touches.
  alignas(16) unsigned char fields_[4096];
};

}  // namespace micro
}  // namespace tflite
