// The middle square of a camera's image: for an ESP32-CAM (AI-Thinker), and for an Arduino Nano 33 BLE with an OV7675.
// For another board, change the pins, or write the two functions anew.
#ifndef CAMERA_H
#define CAMERA_H

#include <Arduino.h>
#include <@name@.h>
#include <@name@_image.h>

#if defined(ARDUINO_ARCH_ESP32)
#include <esp_camera.h>

// A frame has 160 x 120 pixels.
const int SIDE = 120;

inline bool startCamera() {
  camera_config_t config = {};
  config.pin_pwdn = 32;
  config.pin_reset = -1;
  config.pin_xclk = 0;
  config.pin_sccb_sda = 26;
  config.pin_sccb_scl = 27;
  config.pin_d7 = 35;
  config.pin_d6 = 34;
  config.pin_d5 = 39;
  config.pin_d4 = 36;
  config.pin_d3 = 21;
  config.pin_d2 = 19;
  config.pin_d1 = 18;
  config.pin_d0 = 5;
  config.pin_vsync = 25;
  config.pin_href = 23;
  config.pin_pclk = 22;
  config.xclk_freq_hz = 20000000;
  config.ledc_timer = LEDC_TIMER_0;
  config.ledc_channel = LEDC_CHANNEL_0;
  config.pixel_format = @NAME@_CHANNELS == 1 ? PIXFORMAT_GRAYSCALE : PIXFORMAT_RGB565;
  config.frame_size = FRAMESIZE_QQVGA;
  config.fb_location = CAMERA_FB_IN_DRAM;
  config.fb_count = 1;
  return esp_camera_init(&config) == ESP_OK;
}

static camera_fb_t *lent = nullptr;

inline const uint8_t *takeFrame(int *width, int *height) {
  lent = esp_camera_fb_get();
  if (lent == nullptr) return nullptr;
  *width = lent->width;
  *height = lent->height;
  return lent->buf;
}

inline void returnFrame() {
  esp_camera_fb_return(lent);
}
#else
#include <TinyMLShield.h>

// A frame has 176 x 144 pixels.
const int SIDE = 144;
static uint8_t frameBuffer[176 * 144 * (@NAME@_CHANNELS == 1 ? 1 : 2)];

inline bool startCamera() {
  return Camera.begin(QCIF, @NAME@_CHANNELS == 1 ? GRAYSCALE : RGB565, 5, OV7675) != 0;
}

inline const uint8_t *takeFrame(int *width, int *height) {
  Camera.readFrame(frameBuffer);
  *width = 176;
  *height = 144;
  return frameBuffer;
}

inline void returnFrame() {
}
#endif

// Copies the middle square of the next frame, SIDE x SIDE pixels of @NAME@_CHANNELS bytes; returns whether there was a frame.
inline bool takeSquare(uint8_t *square) {
  int width, height;
  const uint8_t *frame = takeFrame(&width, &height);
  if (frame == nullptr) return false;
  for (int y = 0; y < SIDE; y++) {
    const int from = ((height - SIDE) / 2 + y) * width + (width - SIDE) / 2;
    uint8_t *row = square + y * SIDE * @NAME@_CHANNELS;
    if (@NAME@_CHANNELS == 1) {
      memcpy(row, frame + from, SIDE);
    } else {
      @name@_from_rgb565(frame + 2 * from, SIDE, row);
    }
  }
  returnFrame();
  return true;
}

#endif
