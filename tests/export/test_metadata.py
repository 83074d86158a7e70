"""The standard metadata of files for apps; what MediaPipe makes of it is in test_clients_mediapipe."""

import zipfile

from lettercast.export.mobile import METADATA_KEY, embed_mobile
from lettercast.runtime.model.facts import FACTS_KEY, tflite_facts


def test_the_labels_are_appended_unpacked_a_line_each(mobile_base):
    with zipfile.ZipFile(mobile_base) as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read(entry).decode().splitlines() == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_the_metadata_stands_beside_the_facts(mobile_base):
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(mobile_base.read_bytes(), 0))
    contents = {entry.name.decode(): bytes(model.buffers[entry.buffer].data) for entry in model.metadata}
    assert contents[METADATA_KEY][4:8] == b"M001"
    assert {METADATA_KEY, FACTS_KEY} <= set(contents)


def test_the_same_model_and_facts_make_the_same_bytes(exported):
    model = exported["tflite-float32"].read_bytes()
    facts = tflite_facts(exported["tflite-float32"], model)
    assert embed_mobile(model, facts) == embed_mobile(model, facts)
