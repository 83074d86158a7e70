// Declarations of Arduino, as far as the sketches of a zip for microcontrollers take them: they are compiled, not linked.
#pragma once

#include <cstdint>
#include <cstring>

struct Printer {
  void begin(unsigned long baud);
  void print(const char *text);
  void print(char letter);
  void println(const char *text);
  void println(float number);
  explicit operator bool() const;
};
extern Printer Serial;

unsigned long millis();
void delay(unsigned long milliseconds);
void setup();
void loop();
