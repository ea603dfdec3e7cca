package io.vblora.cli;

import io.vblora.kernels.DType;
import java.util.Locale;

/** Values of {@code --dtype}: the type in which the frozen weights are held. */
enum DtypeOption {
    AUTO(null), FLOAT32(DType.FLOAT32), BFLOAT16(DType.BFLOAT16), FLOAT16(DType.FLOAT16);

    private final DType dtype;

    DtypeOption(DType dtype) {
        this.dtype = dtype;
    }

    /** The type, or null for the type in which they are stored. */
    DType dtype() {
        return dtype;
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
