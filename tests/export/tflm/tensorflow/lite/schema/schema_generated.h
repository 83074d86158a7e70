// Declarations of TensorFlow Lite's schema, as far as a program of a zip for microcontrollers takes them.
#pragma once

#include <cstdint>
#include <cstring>

namespace tflite {

// The file itself: an offset to its first table, whose first field is the version.
class Model {
 public:
  uint32_t version() const {
    const uint8_t *table = reinterpret_cast<const uint8_t *>(this);
    int32_t back;
    memcpy(&back, table, sizeof(back));
    uint16_t field;
    memcpy(&field, table - back + 4, sizeof(field));
    uint32_t number;
    memcpy(&number, table + field, sizeof(number));
    return number;
  }
};

inline const Model *GetModel(const void *buffer) {
  uint32_t offset;
  memcpy(&offset, buffer, sizeof(offset));
  return reinterpret_cast<const Model *>(static_cast<const uint8_t *>(buffer) + offset);
}

}  // namespace tflite
