package io.vblora.kernels;

/** Element types of tensors, named as in PyTorch; {@link #code} is the name in safetensors files. */
public enum DType {
    FLOAT32("F32", 4), BFLOAT16("BF16", 2), FLOAT16("F16", 2), FLOAT64("F64", 8), INT64("I64", 8), INT32("I32", 4),
    INT16("I16", 2), INT8("I8", 1), UINT8("U8", 1), BOOL("BOOL", 1);

    private final String code;
    private final int bytes;

    DType(String code, int bytes) {
        this.code = code;
        this.bytes = bytes;
    }

    public String code() {
        return code;
    }

    /** Bytes of one element. */
    public int bytes() {
        return bytes;
    }

    /** Whether it is one of the floating-point types that native ops take as {@code vbl_dtype}. */
    public boolean isNativeFloat() {
        return ordinal() <= FLOAT16.ordinal();
    }

    /**
     * The number of this type in the C ABI, {@code vbl_dtype}.
     *
     * @throws IllegalArgumentException if it has none
     */
    public int nativeCode() {
        if (!isNativeFloat()) {
            throw new IllegalArgumentException(this + " is not a type of native ops");
        }
        return ordinal();
    }
}
