package io.vblora.cli;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.data.TokenSequence;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.model.Adaptable;
import io.vblora.train.Objective;
import java.nio.file.Path;
import java.util.List;

/**
 * A task and a model on the way from files to something that can be trained or scored: first data is read, then the
 * model is loaded, then an adapter is attached.
 *
 * @param <E> the examples
 */
interface TaskSession<E extends TokenSequence> extends AutoCloseable {
    /**
     * Reads a file of examples and says what it holds. The first file determines what all of them share, such as the
     * labels, unless something has determined it before.
     *
     * @param what how messages call the data
     */
    List<E> read(String what, Path file);

    /** The rows of the most recently read file that gave no example: their indices, from 0, in order. */
    List<Integer> skipped();

    /** Loads the model, after the data. {@code dtype} may be null, which keeps the type of the stored weights. */
    void load(DType dtype, Stream stream);

    /** The model, once it is loaded. */
    Adaptable model();

    /** A new adapter for the model; the caller closes it. */
    default Adapter newAdapter(AdapterConfig config, Stream stream, long seed) {
        return Adapter.create(config, model().linears(), model().parameters(), model().initializerRange(), stream,
                seed);
    }

    /** Attaches an adapter, which the caller still has to close, and tells it what else is needed to use it. */
    Objective<E> attach(Adapter adapter);

    @Override
    void close();
}
