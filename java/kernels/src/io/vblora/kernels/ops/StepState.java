package io.vblora.kernels.ops;

import io.vblora.kernels.Device;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.bindings.vbl_step;
import org.bytedeco.javacpp.Loader;

/**
 * What changes between optimizer steps, whatever the optimizer: step number, dropout seed, gradient scale, and, written
 * by {@link GradientNorm#clip}, the gradient norm and clip factor. Ops read a copy in device memory: set the values on
 * the host, and then {@link #upload} them in the stream's order. With values that were set but not uploaded, ops throw
 * {@link IllegalStateException}. The copies for all micro-batches of a step are uploaded at once, and {@link
 * #microBatch} chooses the one that dropout reads. Clipping and updates are the whole step's and always share the
 * first. Used by one thread at a time.
 */
public final class StepState implements AutoCloseable {
    /** The most micro-batches that a step can have. */
    public static final int MICRO_BATCHES = 1 << 16;

    private final DeviceStructs structs;
    /** The step in each of its micro-batches. */
    private final vbl_step[] host;
    private final vbl_step[] onDevice;
    /** The micro-batch whose copy dropout is given. */
    private int microBatch;

    /** A step state of steps with one micro-batch: {@link #StepState(Device, int)}. */
    public StepState(Device device) {
        this(device, 1);
    }

    /**
     * A step state in the memory of a device, which begins with step 1, gradient scale 1 and no clipping.
     *
     * @param microBatches the most micro-batches of a step, from 1 to {@link #MICRO_BATCHES}
     * @throws KernelException if the memory is not available
     */
    public StepState(Device device, int microBatches) {
        if (microBatches < 1 || microBatches > MICRO_BATCHES) {
            throw new IllegalArgumentException("microBatches: found " + microBatches + "; expected 1 to "
                    + MICRO_BATCHES);
        }
        long bytes = Loader.sizeof(vbl_step.class);
        this.structs = new DeviceStructs(device, "step", "step state", microBatches * bytes);
        this.host = new vbl_step[microBatches];
        this.onDevice = new vbl_step[microBatches];
        for (int i = 0; i < microBatches; i++) {
            host[i] = new vbl_step(structs.host(i * bytes));
            host[i].step(1).micro_batch(i).gradient_scale(1).clip_factor(1);
            onDevice[i] = new vbl_step(structs.onDevice(i * bytes, bytes));
        }
        structs.begin();
    }

    /** Sets the step number, from 1, and begins its first micro-batch. */
    public StepState step(long step) {
        if (step < 1) {
            throw new IllegalArgumentException("Steps are numbered from 1, found " + step);
        }
        for (vbl_step values : toSet()) {
            values.step(step);
        }
        microBatch = 0;
        return this;
    }

    public long step() {
        structs.requireOpen();
        return host[0].step();
    }

    /** Seed of dropout. */
    public StepState seed(long seed) {
        for (vbl_step values : toSet()) {
            values.seed(seed);
        }
        return this;
    }

    /**
     * Chooses the micro-batch, from 0, that the next ops belong to. Each has dropout masks of its own. Nothing has to
     * be uploaded for that, and it makes no difference to clipping and updates.
     */
    public StepState microBatch(int number) {
        structs.requireOpen();
        if (number < 0 || number >= host.length) {
            throw new IllegalArgumentException("A micro-batch is 0 to " + (host.length - 1) + ", found " + number);
        }
        microBatch = number;
        return this;
    }

    /** Factor applied to every gradient first, for example one over the loss scale. */
    public StepState gradientScale(float scale) {
        for (vbl_step values : toSet()) {
            values.gradient_scale(scale);
        }
        return this;
    }

    public float gradientScale() {
        structs.requireOpen();
        return host[0].gradient_scale();
    }

    /** Copies the host's values to the device. The clip factors are 1 again. */
    public StepState upload(Stream stream) {
        structs.upload(stream);
        return this;
    }

    /**
     * The step in device memory, as clipping and updates take it, after a check that it lies on their device and is
     * what was set.
     */
    vbl_step handle(Stream stream) {
        structs.requireUploaded(stream);
        return onDevice[0];
    }

    /** The same of the chosen micro-batch, as ops with dropout take it. */
    vbl_step microBatchHandle(Stream stream) {
        structs.requireUploaded(stream);
        return onDevice[microBatch];
    }

    @Override
    public void close() {
        structs.close();
    }

    /** The host's values, one of which is about to be set. */
    private vbl_step[] toSet() {
        structs.set();
        return host;
    }
}
