from lettercast.train.plan import Epoch, read_history, write_history


def test_history_survives_the_way_through_csv(tmp_path):
    history = [Epoch(1, 2.5, 0.1, 3.125, 1 / 3), Epoch(2, 1.5, 0.2, 2.125, 2 / 3)]
    write_history(history, tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text().splitlines()[0] == "epoch,loss,accuracy,val_loss,val_accuracy"
    assert read_history(tmp_path / "history.csv") == history
