// Declarations of TensorFlow Lite Micro, as far as a program of a zip for microcontrollers takes them, for the kernels that
// the Python package tflite-micro holds in compiled form. The package comes without its headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensorflow/lite/schema/schema_generated.h"

namespace tflite {

struct Operator;
enum BuiltinOperator : int32_t {};

namespace micro {

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
struct TfLiteContext;
struct TfLiteNode;
class BuiltinDataAllocator;

struct TFLMRegistration {
  void *(*init)(TfLiteContext *context, const char *buffer, size_t length);
  void (*free)(TfLiteContext *context, void *buffer);
  TfLiteStatus (*prepare)(TfLiteContext *context, TfLiteNode *node);
  TfLiteStatus (*invoke)(TfLiteContext *context, TfLiteNode *node);
  void (*reset)(TfLiteContext *context, void *buffer);
  int32_t builtin_code;
  const char *custom_name;
};

class MicroOpResolver {
 public:
  typedef TfLiteStatus (*BuiltinParseFunction)(const Operator *op, BuiltinDataAllocator *allocator, void **builtin_data);
  virtual const TFLMRegistration *FindOp(BuiltinOperator op) const = 0;
  virtual const TFLMRegistration *FindOp(const char *op) const = 0;
  virtual BuiltinParseFunction GetOpDataParser(BuiltinOperator op) const = 0;
  virtual ~MicroOpResolver() {}
};

// The operators of the models in the tests: method, kernel, parser, and number in the schema.
#define OPERATORS(X)                                          \
  X(Add, ADD, Add, 0)                                         \
  X(AveragePool2D, AVERAGE_POOL_2D, Pool, 1)                  \
  X(Conv2D, CONV_2D, Conv2D, 3)                               \
  X(DepthwiseConv2D, DEPTHWISE_CONV_2D, DepthwiseConv2D, 4)   \
  X(Dequantize, DEQUANTIZE, Dequantize, 6)                    \
  X(FullyConnected, FULLY_CONNECTED, FullyConnected, 9)       \
  X(MaxPool2D, MAX_POOL_2D, Pool, 17)                         \
  X(Mul, MUL, Mul, 18)                                        \
  X(Relu, RELU, Relu, 19)                                     \
  X(Reshape, RESHAPE, Reshape, 22)                            \
  X(Softmax, SOFTMAX, Softmax, 25)                            \
  X(Pad, PAD, Pad, 34)                                        \
  X(Mean, MEAN, Reducer, 40)                                  \
  X(Quantize, QUANTIZE, Quantize, 114)

#define DECLARE(method, kernel, parser, number) \
  TFLMRegistration Register_##kernel();         \
  TfLiteStatus Parse##parser(const Operator *op, BuiltinDataAllocator *allocator, void **builtin_data);
OPERATORS(DECLARE)
#undef DECLARE

template <unsigned int kCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  const TFLMRegistration *FindOp(BuiltinOperator op) const override {
    for (unsigned int i = 0; i < count_; i++) {
      if (kernels_[i].builtin_code == op) return &kernels_[i];
    }
    return nullptr;
  }
  const TFLMRegistration *FindOp(const char *) const override { return nullptr; }
  BuiltinParseFunction GetOpDataParser(BuiltinOperator op) const override {
    for (unsigned int i = 0; i < count_; i++) {
      if (kernels_[i].builtin_code == op) return parsers_[i];
    }
    return nullptr;
  }

#define ADD(method, kernel, parser, number) \
  TfLiteStatus Add##method() { return AddBuiltin(number, Register_##kernel(), Parse##parser); }
  OPERATORS(ADD)
#undef ADD

 private:
  TfLiteStatus AddBuiltin(int32_t number, const TFLMRegistration &kernel, BuiltinParseFunction parser) {
    if (count_ >= kCount) return kTfLiteError;
    kernels_[count_] = kernel;
    kernels_[count_].builtin_code = number;
    parsers_[count_++] = parser;
    return kTfLiteOk;
  }

  TFLMRegistration kernels_[kCount];
  BuiltinParseFunction parsers_[kCount];
  unsigned int count_ = 0;
};
#undef OPERATORS

}  // namespace micro
}  // namespace tflite
