package io.vblora.model;

import io.vblora.blas.Blas;
import io.vblora.kernels.Arena;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * What a model's passes run on: a stream, matrix products, and the memory of inputs and intermediate tensors. Memory is
 * planned by a dry run of the very code that is then executed, once for every shape of batch.
 *
 * <p>Used by one thread at a time: one that runs a pass, or closes this, while another one runs a pass gets an {@link
 * IllegalStateException} and changes nothing. Threads that compute at the same time have an execution and a stream
 * each; they may share models, adapters that nobody trains meanwhile, and the {@link Blas}.
 */
public final class Execution implements AutoCloseable {
    private enum State { FREE, BUSY, CLOSED }

    /** Shapes that are known at a time. With packed rows nearly every batch has one of its own. */
    private static final int MOST_PLANNED = 4096;

    private final Stream stream;
    private final Blas blas;
    private final Arena arena;
    private final Staging staging;
    private final AtomicReference<State> state = new AtomicReference<>(State.FREE);
    private final Set<PassShape> planned = new HashSet<>();

    /** The stream stays the caller's. */
    public Execution(Stream stream, Blas blas) {
        this.stream = stream;
        this.blas = blas;
        this.arena = Arena.on(stream.device());
        this.staging = new Staging(stream.device());
    }

    public Stream stream() {
        return stream;
    }

    public Blas blas() {
        return blas;
    }

    /**
     * Runs an evaluation: uploads the inputs, runs the ops, waits for the stream and reads what they give.
     *
     * @param shape equal for passes that take the same memory
     * @throws IllegalStateException if another thread runs a pass, or this is closed
     */
    public <T> T evaluate(PassShape shape, Updates updates, Inputs inputs, Function<Pass, Tensor> ops,
            Function<Tensor, T> reading) {
        return run(shape, updates, inputs, false, null, ops, result -> {
            stream.synchronize();
            return reading.apply(result);
        });
    }

    /**
     * Uploads the inputs of a training pass and runs its ops; does not wait for them.
     *
     * @param shape equal for passes that take the same memory
     * @throws IllegalStateException if another thread runs a pass, or this is closed
     */
    public void train(PassShape shape, Updates updates, Inputs inputs, StepState step, Consumer<Pass> ops) {
        run(shape, updates, inputs, true, step, pass -> {
            ops.accept(pass);
            return null;
        }, result -> null);
    }

    private <T> T run(PassShape shape, Updates updates, Inputs inputs, boolean isTraining, StepState step,
            Function<Pass, Tensor> ops, Function<Tensor, T> reading) {
        acquire();
        try {
            if (!planned.contains(shape)) {
                if (planned.size() == MOST_PLANNED) {
                    planned.clear();
                }
                Arena counting = Arena.planning(stream.device());
                ops.apply(new Pass(stream.planning(), counting, blas, isTraining, step, inputs.take(counting),
                        updates));
                reserve(counting.peak());
                planned.add(shape);
            }
            List<Tensor> tensors = inputs.take(arena);
            inputs.upload(stream, staging, tensors);
            return reading.apply(ops.apply(new Pass(stream, arena, blas, isTraining, step, tensors, updates)));
        } finally {
            arena.release(0);
            state.setRelease(State.FREE);
        }
    }

    private void reserve(long bytes) {
        try {
            arena.reserve(bytes);
        } catch (RuntimeException | Error e) {
            planned.clear(); // the memory that those were planned for is gone
            throw e;
        }
    }

    private void acquire() {
        if (!state.compareAndSet(State.FREE, State.BUSY)) {
            throw new IllegalStateException(state.get() == State.CLOSED ? "The execution is closed"
                    : "The execution is in use by another thread: one thread at a time runs a pass on it, so each "
                            + "needs an execution and a stream of its own");
        }
    }

    /**
     * Frees the memory. Calling it again does nothing.
     *
     * @throws IllegalStateException if another thread runs a pass
     */
    @Override
    public void close() {
        if (state.get() != State.CLOSED) {
            acquire();
            state.set(State.CLOSED);
            try (Arena freed = arena) {
                staging.close();
            }
        }
    }
}
