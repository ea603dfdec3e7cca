package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.VBL_POOL_CLS;
import static io.vblora.kernels.global.vblora.VBL_POOL_MEAN;

/** How the tokens of a sequence become one row. */
public enum PoolingMode {
    /** The first token. */
    CLS(VBL_POOL_CLS),
    /** The mean of the tokens that are not padding. */
    MEAN(VBL_POOL_MEAN);

    private final int nativeCode;

    PoolingMode(int nativeCode) {
        this.nativeCode = nativeCode;
    }

    /** The number in the C ABI, {@code vbl_pooling}. */
    int nativeCode() {
        return nativeCode;
    }
}
