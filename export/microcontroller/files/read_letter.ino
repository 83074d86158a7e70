// Reads the letter in the middle of the camera's image, and prints it at 115200 baud.
#include <@name@_glyph.h>
#include <@name@_run.h>

#include "camera.h"

static uint8_t square[SIDE * SIDE];
static uint8_t pixels[@NAME@_PIXELS];

void setup() {
  Serial.begin(115200);
  if (!@name@_begin()) Serial.println(@name@_problem());
  if (!startCamera()) Serial.println("no camera: check the cable and the pins");
}

void loop() {
  @name@_answer answer;
  if (!takeSquare(square)) {
    Serial.println("no image from the camera");
  } else if (@name@_ink(square, SIDE, SIDE)) {
    @name@_glyph(square, SIDE, SIDE, SIDE, pixels);
    if (!@name@_classify(pixels, &answer)) {
      Serial.println(@name@_problem());
    } else if (!answer.is_rejected) {
      Serial.print(@name@_labels[answer.label]);
      Serial.print(' ');
      Serial.println(answer.probability);
    }
  }
  delay(200);
}
