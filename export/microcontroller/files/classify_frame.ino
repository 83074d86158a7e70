// Classifies the middle square of the camera's image, and prints the label at 115200 baud.
#include <@name@_image.h>
#include <@name@_run.h>

#include "camera.h"

static uint8_t square[SIDE * SIDE * @NAME@_CHANNELS];
static uint8_t pixels[@NAME@_PIXELS];

void setup() {
  Serial.begin(115200);
  if (!@name@_begin()) Serial.println(@name@_problem());
  if (!startCamera()) Serial.println("no camera: check the cable and the pins");
}

void loop() {
  @name@_answer answer;
  const int stride = SIDE * @NAME@_CHANNELS;
  if (!takeSquare(square)) {
    Serial.println("no image from the camera");
  } else if (@name@_resize(square, SIDE, SIDE, stride, @NAME@_CHANNELS, pixels, @NAME@_WIDTH, @NAME@_HEIGHT) != 0) {
    Serial.println("the square cannot be scaled to the model's input: choose another frame size");
  } else if (!@name@_classify(pixels, &answer)) {
    Serial.println(@name@_problem());
  } else if (!answer.is_rejected) {
    Serial.print(@name@_labels[answer.label]);
    Serial.print(' ');
    Serial.println(answer.probability);
  }
  delay(200);
}
