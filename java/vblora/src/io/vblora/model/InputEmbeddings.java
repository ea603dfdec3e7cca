package io.vblora.model;

import io.vblora.kernels.Tensor;
import java.util.List;
import java.util.stream.Stream;

/**
 * What goes into the first layer of a decoder: the embedding of each token, and that of its position added to it where
 * the model learns positions.
 *
 * @param positions a row for each place in a sequence, from 0 on; null where the model has none
 */
public record InputEmbeddings(Embedding tokens, Embedding positions) implements ModelPart {
    @Override
    public List<Parameter> parameters() {
        return Stream.of(tokens, positions).filter(table -> table != null)
                .flatMap(table -> table.parameters().stream()).toList();
    }

    /** x [tokens, hidden], written. */
    void forward(Pass pass, Tokens batch, Tensor x) {
        tokens.forward(pass, batch.rows(), batch.ids(), x, false);
        if (positions != null) {
            positions.forward(pass, batch.rows(), batch.positions(), x, true);
        }
    }

    /** Adds the gradients of the tables to the adapter's, if that holds them; dx [tokens, hidden] is that of x. */
    void backward(Pass pass, Tokens batch, Tensor dx) {
        tokens.backward(pass, batch.ids(), dx);
        if (positions != null) {
            positions.backward(pass, batch.positions(), dx);
        }
    }
}
