from freehold.catalog import models, publishers


def test_every_family_has_its_publisher():
    owners = {owner.lower() for row in publishers.rows() for owner in row.owners}
    missing = {model.id for model in models.all_models() if model.id.split("/")[0].lower() not in owners}
    assert missing <= {"TinyLlama/TinyLlama-1.1B-Chat-v1.0"}
