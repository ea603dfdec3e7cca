package io.vblora.kernels;

/** A program that needs the native library, and says how it failed to load. */
final class LoadLibrary {
    private LoadLibrary() {}

    public static void main(String[] arguments) {
        NativeLibraryException first = failure();
        System.out.println(first.getMessage());
        System.out.println("the same at every call: " + (first == failure()));
    }

    private static NativeLibraryException failure() {
        try {
            Tensor.allocate(Device.CPU, DType.FLOAT32, 1).close();
        } catch (NativeLibraryException e) {
            return e;
        }
        throw new AssertionError("The native library was loaded");
    }
}
