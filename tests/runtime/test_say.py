"""What a person is told."""

from lettercast import LettercastError
from lettercast.runtime.console import say


def test_what_is_said_is_one_line_on_stderr(capsys):
    say(LettercastError("page.jpg: damaged;\n copy it again"))
    assert capsys.readouterr() == ("", "lettercast: page.jpg: damaged; copy it again\n")
