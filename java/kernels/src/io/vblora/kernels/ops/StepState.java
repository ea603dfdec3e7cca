package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_adamw_group_set;
import static io.vblora.kernels.global.vblora.vbl_memcpy;
import static io.vblora.kernels.global.vblora.vbl_memcpy_blocking;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.bindings.vbl_adamw_group;
import io.vblora.kernels.bindings.vbl_step;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;

/**
 * What changes between optimizer steps: step number, dropout seed, gradient scale, the constants of AdamW for each
 * parameter group, and, written by {@link GradientNorm#clip}, the gradient norm and clip factor. Ops read a copy in
 * device memory: set the values on the host, and then {@link #upload} them in the stream's order. With values that were
 * set but not uploaded, ops throw {@link IllegalStateException}. The copies for all micro-batches of a step are
 * uploaded at once, and {@link #microBatch} chooses the one that dropout reads. Clipping and updates are the whole
 * step's and always share the first. Used by one thread at a time.
 */
public final class StepState implements AutoCloseable {
    /** The most micro-batches that a step can have. */
    public static final int MICRO_BATCHES = 1 << 16;

    /** The host's copy: the step in each of its micro-batches, then the groups. */
    private final BytePointer hostMemory;
    private final vbl_step[] host;
    private final vbl_adamw_group[] hostGroups;
    /** The same in device memory. */
    private final Tensor memory;
    private final vbl_step[] onDevice;
    private final vbl_adamw_group[] groupsOnDevice;
    /** Which groups have weight decay on the device. */
    private final boolean[] decays;
    /** The micro-batch whose copy dropout is given. */
    private int microBatch;
    /** Whether the device has what was set on the host. */
    private boolean uploaded;
    private boolean closed;

    /** A step state of steps with one micro-batch: {@link #StepState(Device, int, int)}. */
    public StepState(Device device, int groups) {
        this(device, groups, 1);
    }

    /**
     * A step state in the memory of a device, which begins with step 1, gradient scale 1, learning rates 0 and no
     * clipping.
     *
     * @param groups number of parameter groups, at least one; they are numbered from 0
     * @param microBatches the most micro-batches of a step, from 1 to {@link #MICRO_BATCHES}
     * @throws KernelException if the memory is not available
     */
    public StepState(Device device, int groups, int microBatches) {
        Check.positive("groups", groups);
        if (microBatches < 1 || microBatches > MICRO_BATCHES) {
            throw new IllegalArgumentException("microBatches: found " + microBatches + "; expected 1 to "
                    + MICRO_BATCHES);
        }
        NativeLibrary.load();
        long stepBytes = Loader.sizeof(vbl_step.class);
        long groupBytes = Loader.sizeof(vbl_adamw_group.class);
        long bytes = microBatches * stepBytes + groups * groupBytes;
        this.hostMemory = new BytePointer(bytes);
        this.memory = Tensor.allocate(device, DType.UINT8, bytes);
        this.host = new vbl_step[microBatches];
        this.onDevice = new vbl_step[microBatches];
        this.hostGroups = new vbl_adamw_group[groups];
        this.groupsOnDevice = new vbl_adamw_group[groups];
        this.decays = new boolean[groups];
        Pointer.memset(hostMemory, 0, bytes);
        for (int i = 0; i < microBatches; i++) {
            host[i] = new vbl_step(hostMemory.getPointer(i * stepBytes));
            host[i].step(1).micro_batch(i).gradient_scale(1).clip_factor(1);
            onDevice[i] = new vbl_step(memory.view(i * stepBytes, stepBytes).pointer());
        }
        for (int group = 0; group < groups; group++) {
            long offset = microBatches * stepBytes + group * groupBytes;
            hostGroups[group] = new vbl_adamw_group(hostMemory.getPointer(offset));
            groupsOnDevice[group] = new vbl_adamw_group(memory.view(offset, groupBytes).pointer());
            group(group, 0, 0.9, 0.999, 1e-8, 0);
        }
        try {
            KernelException.check(vbl_memcpy_blocking(device.index(), memory.pointer(), hostMemory, bytes));
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
        uploaded = true;
    }

    /** Sets the step number, from 1, and begins its first micro-batch. Groups must be set again: they depend on it. */
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
        requireOpen();
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
        requireOpen();
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
        requireOpen();
        return host[0].gradient_scale();
    }

    /**
     * AdamW's constants of one parameter group in the current step, computed in float64 as PyTorch does.
     *
     * @throws KernelException if a value is out of range
     */
    public StepState group(int group, double learningRate, double beta1, double beta2, double eps, double weightDecay) {
        requireGroup(group);
        KernelException.check(vbl_adamw_group_set(hostGroups[group], toSet()[0].step(), learningRate, beta1, beta2, eps,
                weightDecay));
        return this;
    }

    /** Copies the host's values to the device. The clip factors are 1 again. */
    public StepState upload(Stream stream) {
        requireOn(stream);
        stream.run(handle -> vbl_memcpy(handle, memory.pointer(), hostMemory, memory.bytes()));
        if (stream.isPlanning()) {
            return this;
        }
        for (int group = 0; group < decays.length; group++) {
            decays[group] = hostGroups[group].decay() != 1;
        }
        uploaded = true;
        return this;
    }

    /**
     * The norm of all gradients that {@link GradientNorm#clip} wrote. Waits for the stream, which must not be planning.
     */
    public float gradientNorm(Stream stream) {
        try (vbl_step copy = new vbl_step()) {
            requireOn(stream);
            stream.run(handle -> vbl_memcpy(handle, copy, onDevice[0], copy.sizeof()));
            stream.synchronize();
            return copy.gradient_norm();
        }
    }

    /**
     * The step in device memory, as clipping and updates take it, after a check that it lies on their device and is
     * what was set.
     */
    vbl_step handle(Stream stream) {
        requireUploaded(stream);
        return onDevice[0];
    }

    /** The same of the chosen micro-batch, as ops with dropout take it. */
    vbl_step microBatchHandle(Stream stream) {
        requireUploaded(stream);
        return onDevice[microBatch];
    }

    /** A group's constants in device memory, after a check that there is such a group. */
    vbl_adamw_group group(int group) {
        requireGroup(group);
        return groupsOnDevice[group];
    }

    private void requireUploaded(Stream stream) {
        requireOn(stream);
        if (!uploaded) {
            throw new IllegalStateException("The step state was changed and not uploaded");
        }
    }

    /** Refuses a stream of another device than the state's. */
    private void requireOn(Stream stream) {
        requireOpen();
        if (!memory.device().equals(stream.device())) {
            throw new IllegalArgumentException("step: found a step state on " + memory.device() + "; expected one on "
                    + stream.device());
        }
    }

    /** Refuses a group that has weight decay on the device, where nobody would notice. */
    void requireNoDecay(int group) {
        requireGroup(group);
        if (decays[group]) {
            throw new IllegalArgumentException("step: found weight decay in group " + group
                    + "; expected none: adamwSelect takes it");
        }
    }

    @Override
    public void close() {
        closed = true;
        memory.close();
        hostMemory.close();
    }

    /** The host's values, one of which is about to be set. */
    private vbl_step[] toSet() {
        requireOpen();
        uploaded = false;
        return host;
    }

    private void requireGroup(int group) {
        if (group < 0 || group >= decays.length) {
            throw new IllegalArgumentException("group: found " + group + "; expected 0 to " + (decays.length - 1));
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("The step state is closed");
        }
    }
}
