#include "@name@_check.h"

#include <stdio.h>

#include "@name@_run.h"

namespace {

// A probability may differ by this where the model computes in float.
constexpr float kTolerance = @tolerance@;
constexpr float kMaxDifference = 0.1f;
char line[160];

float ToProbability(@name@_output value) {
  return @to_probability@;
}

// Boards often lack %f, so probabilities are printed as tenths of a percent.
int Tenths(float probability) {
  return static_cast<int>(probability * 1000.0f + 0.5f);
}

}  // namespace

int @name@_check(void (*print_line)(const char *line)) {
  print_line("@model@: @cases@ golden cases");
  if (!@name@_begin()) {
    snprintf(line, sizeof(line), "FAIL: %s", @name@_problem());
    print_line(line);
    return @NAME@_WRONG;
  }
  int equal = 0, close = 0;
  for (int i = 0; i < @NAME@_CASES; i++) {
    @name@_answer answer;
    if (!@name@_classify(@name@_case_pixels[i], &answer)) {
      snprintf(line, sizeof(line), "FAIL: %s", @name@_problem());
      print_line(line);
      return @NAME@_WRONG;
    }
    int expected = 0;
    float largest = 0.0f;
    for (int j = 0; j < @NAME@_CLASSES; j++) {
      const @name@_output *answers = @name@_case_answers[i];
      float difference = @name@_probability(j) - ToProbability(answers[j]);
      if (difference < 0.0f) difference = -difference;
      if (!(difference <= largest)) largest = difference;
      if (ToProbability(answers[j]) > ToProbability(answers[expected])) expected = j;
    }
    if (largest <= kTolerance) {
      equal++;
    } else if (answer.label == expected && largest <= kMaxDifference) {
      close++;
    } else {
      int found = Tenths(answer.probability), wanted = Tenths(ToProbability(@name@_case_answers[i][expected]));
      snprintf(line, sizeof(line), "case %d: %s %d.%d %%, expected %s %d.%d %%", i, @name@_labels[answer.label], found / 10,
               found % 10, @name@_labels[expected], wanted / 10, wanted % 10);
      print_line(line);
    }
  }
  int wrong = @NAME@_CASES - equal - close;
  snprintf(line, sizeof(line), "%d @equality@, %d close, %d wrong", equal, close, wrong);
  print_line(line);
  snprintf(line, sizeof(line), "arena: %lu of %lu bytes in use", static_cast<unsigned long>(@name@_arena_used()),
           static_cast<unsigned long>(@name@_arena_size()));
  print_line(line);
  print_line(wrong > 0 ? "FAIL" : "PASS");
  return wrong > 0 ? @NAME@_WRONG : close > 0 ? @NAME@_CLOSE : @NAME@_EQUAL;
}
