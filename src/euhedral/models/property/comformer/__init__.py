"""ComFormer: complete and efficient graph transformers for crystals, invariant (iComFormer) and equivariant (eComFormer).

Yan, Fu, Qian, Qian and Ji 2024, "Complete and Efficient Graph Transformers for Crystal Material Property Prediction", ICLR,
arXiv:2403.11857.

Each atom has edges to near neighbours and to its own copies along three lattice vectors. In iComFormer an edge is its length and
its angles to the three vectors, a right-handed frame: that fixes the crystal up to rotations, and a mirror image is another
crystal. In eComFormer an edge is a vector, whose spherical harmonics make vectors and rank-2 tensors of atoms in one layer and
scalars of these in the next. Both update atoms by the same transformer layers (`nn.comformer_layers`).

| paper and released code | here |
|---|---|
| `node_features`, `edge_features`, `fc_features` | `width` |
| `triplet_input_features` | `n_cosines` |
| `conv_layers` | `n_layers` |
| `ns`, `nv` | `scalars`, `channels` |
| `max_neighbors` | `neighbours`, 25 as in the program's script for the Materials Project |
| RBF of -0.75 / d from -4 to 0 | `span` |

Departures:

- Which lattice vectors make the frame does not depend on the cell, and where lengths tie the choice falls on what the network
  itself can tell apart (`representations.lattice_edges`); the released code takes the first that it meets.
- Each element has a learnt vector beside its 92 properties, so that all 118 can be told apart.
- What repeats is computed once: functions of a length once a distinct length, those of an angle once a distinct angle, edges once
  a distinct edge (`representations.frame_angles`), and what images of one atom at one length send in eComFormer. Lengths, and cosines at one length, that differ by less than 1e-4
  are taken to be equal.
- The update of edges begins with larger weights than torch's: with those the hand of a crystal, an effect of high order in the
  angles, is lost in rounding until normalisation has seen data.
- The weights of a tensor product depend on the length alone; neighbours of an atom at one length are added up before they are
  applied: the same numbers.

eComFormer's graph tells hands apart, but its layers end in products of two vectors and of two tensors, which a mirror leaves as
they are: its row claims E(3), where iComFormer's claims SE(3).
"""
