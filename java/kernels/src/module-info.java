/**
 * The native kernels of VB-LoRA over raw pointers. The native library is in a jar of its own, the module {@code
 * io.vblora.kernels.linux.x86_64}, which an application requires in addition to this one.
 */
module io.vblora.kernels {
    requires transitive org.bytedeco.javacpp;
    requires org.bytedeco.javacpp.linux.x86_64;

    exports io.vblora.kernels;
    exports io.vblora.kernels.bindings;
    exports io.vblora.kernels.global;
    exports io.vblora.kernels.ops;
    exports io.vblora.kernels.presets;
}
