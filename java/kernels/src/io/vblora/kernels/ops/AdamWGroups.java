package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_adamw_group_set;

import io.vblora.kernels.Device;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.bindings.vbl_adamw_group;
import org.bytedeco.javacpp.Loader;

/**
 * The constants of {@link AdamWOps} for each group of parameters in one step. Ops read a copy in device memory: set the
 * constants of all groups for a step, and then {@link #upload} them in the stream's order. With constants that were set
 * but not uploaded, ops throw {@link IllegalStateException}. Used by one thread at a time.
 */
public final class AdamWGroups implements AutoCloseable {
    private final DeviceStructs structs;
    private final vbl_adamw_group[] host;
    private final vbl_adamw_group[] onDevice;
    /** Which groups have weight decay on the device. */
    private final boolean[] decays;

    /**
     * Constants in the memory of a device, which begin with those of step 1, PyTorch's defaults and learning rate 0.
     *
     * @param groups number of groups, at least one; they are numbered from 0
     * @throws KernelException if the memory is not available
     */
    public AdamWGroups(Device device, int groups) {
        Check.positive("groups", groups);
        long bytes = Loader.sizeof(vbl_adamw_group.class);
        this.structs = new DeviceStructs(device, "groups", "set of groups", groups * bytes);
        this.host = new vbl_adamw_group[groups];
        this.onDevice = new vbl_adamw_group[groups];
        this.decays = new boolean[groups];
        for (int group = 0; group < groups; group++) {
            host[group] = new vbl_adamw_group(structs.host(group * bytes));
            onDevice[group] = new vbl_adamw_group(structs.onDevice(group * bytes, bytes));
            set(group, 1, 0, 0.9, 0.999, 1e-8, 0);
        }
        structs.begin();
    }

    /**
     * Sets the constants of a group for a step, computed in float64 as PyTorch does.
     *
     * @param step from 1
     * @throws KernelException if a value is out of range
     */
    public AdamWGroups set(int group, long step, double learningRate, double beta1, double beta2, double eps,
            double weightDecay) {
        requireGroup(group);
        structs.set();
        KernelException.check(vbl_adamw_group_set(host[group], step, learningRate, beta1, beta2, eps, weightDecay));
        return this;
    }

    /** Copies the host's values to the device. */
    public AdamWGroups upload(Stream stream) {
        if (structs.upload(stream)) {
            for (int group = 0; group < decays.length; group++) {
                decays[group] = host[group].decay() != 1;
            }
        }
        return this;
    }

    /**
     * A group's constants in device memory, after a check that there is such a group, that it lies on the stream's
     * device and is what was set.
     */
    vbl_adamw_group handle(Stream stream, int group) {
        requireGroup(group);
        structs.requireUploaded(stream);
        return onDevice[group];
    }

    /** Refuses a group that has weight decay on the device, where nobody would notice. */
    void requireNoDecay(int group) {
        requireGroup(group);
        if (decays[group]) {
            throw new IllegalArgumentException("groups: found weight decay in group " + group
                    + "; expected none: adamwSelect takes it");
        }
    }

    private void requireGroup(int group) {
        if (group < 0 || group >= decays.length) {
            throw new IllegalArgumentException("group: found " + group + "; expected 0 to " + (decays.length - 1));
        }
    }

    @Override
    public void close() {
        structs.close();
    }
}
