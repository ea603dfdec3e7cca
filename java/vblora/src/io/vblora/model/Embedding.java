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

    /** x [rows, hidden] = (or +=) the table's rows of ids [rows]. */
    public void forward(Pass pass, Rows rows, Tensor ids, Tensor x, boolean accumulate) {
        for (Rows.Run run : pass.runs(rows, weight)) {
            Transformer.embeddingForward(pass.stream(), run.of(ids), pass.value(weight, run), accumulate, run.of(x));
        }
    }

    /** Adds the table's gradient to the adapter's, if that holds it; dx [rows, hidden] is that of what was read. */
    public void backward(Pass pass, Tensor ids, Tensor dx) {
        if (!pass.trains(weight)) {
            return;
        }
        Tensor gradient = pass.gradient(weight);
        Transformer.embeddingBackward(pass.stream(), ids, dx, gradient);
        if (paddingRow >= 0) {
            long hidden = weight.dimension(1);
            Memory.zero(pass.stream(), gradient.view(paddingRow * hidden, hidden));
        }
    }
}
