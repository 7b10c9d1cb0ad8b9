import torch

from euhedral.nn.element_embedding import ElementEmbedding


def test_elements_with_equal_properties_are_told_apart_once_trained():
    torch.manual_seed(0)
    embedding = ElementEmbedding(4)
    lanthanum_and_cerium = torch.tensor([57, 58])
    first, second = embedding(lanthanum_and_cerium)
    assert torch.equal(first, second)
    (first.sum() - embedding(torch.tensor([118])).sum()).backward()
    with torch.no_grad():
        embedding.learnt -= 0.1 * embedding.learnt.grad
    first, second = embedding(lanthanum_and_cerium)
    assert not torch.equal(first, second)


def test_each_atom_has_the_row_of_its_element():
    torch.manual_seed(0)
    embedding = ElementEmbedding(4)
    together = embedding(torch.tensor([8, 22, 8]))
    assert torch.equal(together[0], together[2])
    assert torch.equal(together[1:2], embedding(torch.tensor([22])))
