package io.vblora.model;

import io.vblora.blas.Blas;
import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;

/**
 * What a model's passes run on: a stream, matrix products, and the memory of intermediate tensors. Memory is planned by
 * a dry run of the very code that is then executed, once for every shape of batch.
 *
 * <p>Used by one thread at a time: one that runs a pass, or closes this, while another one runs a pass gets an {@link
 * IllegalStateException} and changes nothing. Threads that compute at the same time have an execution and a stream
 * each; they may share models, adapters that nobody trains meanwhile, and the {@link Blas}.
 */
public final class Execution implements AutoCloseable {
    private enum State { FREE, BUSY, CLOSED }

    private final Stream stream;
    private final Blas blas;
    private final Arena arena;
    private final AtomicReference<State> state = new AtomicReference<>(State.FREE);
    private final Set<Object> planned = new HashSet<>();
    private StepState step;

    /** The stream stays the caller's. */
    public Execution(Stream stream, Blas blas) {
        this(stream, blas, Arena.on(stream.device()));
    }

    private Execution(Stream stream, Blas blas, Arena arena) {
        this.stream = stream;
        this.blas = blas;
        this.arena = arena;
    }

    public Stream stream() {
        return stream;
    }

    public Arena arena() {
        return arena;
    }

    public Blas blas() {
        return blas;
    }

    /** The step whose seed, number and micro-batch dropout reads; null where nothing draws. */
    public StepState step() {
        return step;
    }

    /** Sets the step of the passes to come: training with dropout needs one, evaluation has none. */
    public void step(StepState newStep) {
        this.step = newStep;
    }

    /** Whether this is a dry run: nothing may be read from or written to tensors. */
    public boolean isPlanning() {
        return stream.isPlanning();
    }

    /**
     * Runs a pass with all of the arena's memory at its disposal.
     *
     * @param shape equal for passes that take the same memory
     * @throws IllegalStateException if another thread runs a pass, or this is closed
     */
    public <T> T run(Object shape, Function<Execution, T> pass) {
        acquire();
        try {
            if (!planned.contains(shape)) {
                Execution dry = new Execution(stream.planning(), blas, Arena.planning(stream.device()));
                pass.apply(dry);
                arena.reserve(dry.arena.peak());
                planned.add(shape);
            }
            return pass.apply(this);
        } finally {
            arena.release(0);
            state.setRelease(State.FREE);
        }
    }

    private void acquire() {
        if (!state.compareAndSet(State.FREE, State.BUSY)) {
            throw new IllegalStateException(state.get() == State.CLOSED ? "The execution is closed"
                    : "The execution is in use by another thread: one thread at a time runs a pass on it, so each "
                    + "needs an execution and a stream of its own");
        }
    }

    /** Takes an int32 tensor with these values from the arena. */
    public Tensor ints(int[] values) {
        Tensor tensor = arena.take(DType.INT32, values.length);
        return isPlanning() ? tensor : tensor.copyFrom(values);
    }

    /** Takes a float32 tensor with these values from the arena. */
    public Tensor floats(float[] values, long... shape) {
        Tensor tensor = arena.floats(shape);
        return isPlanning() ? tensor : tensor.copyFrom(values);
    }

    /** Takes a float32 tensor of one element from the arena. */
    public Tensor scalar(float value) {
        Tensor tensor = arena.floats(1);
        return isPlanning() ? tensor : tensor.copyFrom(value);
    }

    /** Waits for the stream and reads all elements of a float32 tensor; null in a dry run. */
    public float[] read(Tensor tensor) {
        if (isPlanning()) {
            return null;
        }
        stream.synchronize();
        return tensor.toFloats();
    }

    /** Waits for the stream and reads a float64 tensor of one element; 0 in a dry run. */
    public double readDouble(Tensor tensor) {
        if (isPlanning()) {
            return 0;
        }
        stream.synchronize();
        return tensor.toDoubles()[0];
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
            arena.close();
        }
    }
}
