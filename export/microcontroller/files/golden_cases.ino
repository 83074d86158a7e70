// Runs the golden cases of @model@ and prints the result; open the serial monitor at 115200 baud.
#include <@name@_check.h>

void printLine(const char *line) {
  Serial.println(line);
}

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 10000) {
  }
}

void loop() {
  @name@_check(printLine);
  delay(5000);
}
