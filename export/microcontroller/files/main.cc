// Runs the golden cases of @model@: on a computer, with ESP-IDF, and with PlatformIO.
#include "@name@_check.h"

#if defined(ARDUINO)
#include <Arduino.h>

static void PrintLine(const char *line) {
  Serial.println(line);
}

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 10000) {
  }
}

void loop() {
  @name@_check(PrintLine);
  delay(5000);
}
#else
#include <stdio.h>

static void PrintLine(const char *line) {
  puts(line);
}

#if defined(ESP_PLATFORM)
extern "C" void app_main(void) {
  @name@_check(PrintLine);
}
#else
int main() {
  return @name@_check(PrintLine) == @NAME@_WRONG;
}
#endif
#endif
