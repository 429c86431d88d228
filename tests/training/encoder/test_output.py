from freehold.training.encoder import output


def test_two_values_of_one_name_are_told_apart():
    class Value:
        def __init__(self, name):
            self.name = name

    class Node:
        def __init__(self, *outputs):
            self.outputs = outputs

    result, inner = Value("embedding"), Value("embedding")

    class Graph(list):
        outputs = (result,)

    output._rename_inner(Graph([Node(inner), Node(result)]))
    assert (result.name, inner.name) == ("embedding", "inner_embedding")
