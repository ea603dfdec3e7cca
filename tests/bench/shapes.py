"""The models whose admixtures are timed, as in vblora-bench (native/bench/shapes.cpp)."""
from dataclasses import dataclass

LENGTH, TOPK = 256, 2
SELECTIONS = ("uniform", "zipf", "all-same")


@dataclass(frozen=True)
class Shape:
    """A model's adapted layers; modules are (in, out) of each."""

    name: str
    r: int
    num_vectors: int
    modules: tuple

    @property
    def rows(self):
        return sum(self.r * (i + o) // LENGTH for i, o in self.modules)

    def scaled(self, scale):
        """rows and num_vectors times scale, down to 64 and 32, as in vblora-bench: the first modules, the last one cut.
        Rows are rounded up to a multiple of r."""
        if scale == 1:
            return self
        left = -(-max(64, int(self.rows * scale)) // self.r)  # tiles of in and out
        modules = []
        for i, o in self.modules:
            tiles = (i + o) // LENGTH
            if tiles >= left - 1:  # a module has two tiles at least
                modules.append((left // 2 * LENGTH, (left - left // 2) * LENGTH))
                break
            modules.append((i, o))
            left -= tiles
        return Shape(self.name, self.r, max(32, int(self.num_vectors * scale)), tuple(modules))


def shapes(scale):
    bert = ((768, 768),) * 4 + ((768, 3072), (3072, 768))

    def llama(hidden, intermediate):
        return ((hidden, hidden),) * 4 + ((hidden, intermediate),) * 2 + ((intermediate, hidden),)

    return [shape.scaled(scale) for shape in (
        Shape("roberta-base", 4, 90, bert * 12),
        Shape("llama-3.2-3b-qv", 4, 256, ((3072, 3072), (3072, 1024)) * 28),
        Shape("llama-2-7b", 4, 2048, llama(4096, 11008) * 32),
        Shape("llama-2-13b", 6, 2048, llama(5120, 13824) * 40),
    )]
