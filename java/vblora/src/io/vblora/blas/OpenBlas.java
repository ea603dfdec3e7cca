package io.vblora.blas;

import io.vblora.kernels.Arena;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.CpuGemm;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.bytedeco.javacpp.Loader;

/**
 * OpenBLAS from the JavaCPP presets. Our own threads call its single-threaded sgemm on fixed tiles, so that results do
 * not depend on the number of threads and no two thread pools compete.
 */
public final class OpenBlas implements Blas {
    private static final List<String> NAMES = List.of("libopenblas_nolapack.so.0", "libopenblas.so.0");

    private final CpuGemm gemm;

    public OpenBlas() {
        this.gemm = open(library());
    }

    /**
     * The shared library in JavaCPP's cache.
     *
     * @throws BlasException if the presets cannot be loaded
     */
    public static Path library() {
        String jni;
        try {
            jni = Loader.load(org.bytedeco.openblas.global.openblas_nolapack.class);
        } catch (LinkageError | RuntimeException e) {
            throw new BlasException("OpenBLAS could not be loaded: is the jar org.bytedeco:openblas:"
                    + Loader.getPlatform() + " on the class path? Cause: " + e.getMessage(), e);
        }
        Path folder = Path.of(jni).getParent();
        return NAMES.stream().map(folder::resolve).filter(Files::isRegularFile).findFirst().orElseThrow(
                () -> new BlasException("OpenBLAS: none of " + NAMES + " is in " + folder, null));
    }

    private static CpuGemm open(Path library) {
        try {
            return new CpuGemm(library);
        } catch (KernelException e) {
            throw new BlasException("OpenBLAS at " + library + " cannot be used: " + e.getMessage(), e);
        }
    }

    @Override
    public void gemm(Stream stream, Arena arena, boolean transA, boolean transB, Matrix a, Matrix b, float beta,
            Matrix c, Matrix d) {
        gemm.gemm(stream, arena, transA, transB, 1, a, b, beta, c, d);
    }
}
