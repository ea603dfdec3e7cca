package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Transformer;
import java.util.List;

/**
 * A table of embeddings [rows, hidden].
 *
 * @param paddingRow the row that never learns, as Hugging Face's padding_idx; -1 for none
 */
public record Embedding(Parameter weight, int paddingRow) implements ModelPart {
    @Override
    public List<Parameter> parameters() {
        return List.of(weight);
    }

    /** x [tokens, hidden] = (or +=) the rows of ids [tokens]. */
    public void forward(Pass pass, Tensor ids, Tensor x, boolean accumulate) {
        Transformer.embeddingForward(pass.stream(), ids, weight.value(), accumulate, x);
    }

    /** Adds the table's gradient to the adapter's, if that holds it; dx [tokens, hidden] is that of what was read. */
    public void backward(Pass pass, Tensor ids, Tensor dx) {
        if (!weight.isTrained()) {
            return;
        }
        Tensor gradient = weight.gradient();
        Transformer.embeddingBackward(pass.stream(), ids, dx, gradient);
        if (paddingRow >= 0) {
            long hidden = weight.dimension(1);
            Memory.zero(pass.stream(), gradient.view(paddingRow * hidden, hidden));
        }
    }
}
