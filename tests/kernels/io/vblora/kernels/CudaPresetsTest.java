package io.vblora.kernels;

import static io.vblora.kernels.TestDevice.DEVICE;
import static org.bytedeco.cuda.global.cublas.CUBLAS_COMPUTE_32F;
import static org.bytedeco.cuda.global.cublas.CUBLAS_GEMM_DEFAULT;
import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_N;
import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_T;
import static org.bytedeco.cuda.global.cublas.cublasCreate_v2;
import static org.bytedeco.cuda.global.cublas.cublasDestroy_v2;
import static org.bytedeco.cuda.global.cublas.cublasGemmEx;
import static org.bytedeco.cuda.global.cublas.cublasSetStream_v2;
import static org.bytedeco.cuda.global.cudart.CUDA_R_16BF;
import static org.bytedeco.cuda.global.cudart.CUDA_R_32F;
import static org.bytedeco.cuda.global.cudart.cudaFree;
import static org.bytedeco.cuda.global.cudart.cudaGetDeviceCount;
import static org.bytedeco.cuda.global.cudart.cudaMalloc;
import static org.bytedeco.cuda.global.cudart.cudaMemcpyAsync;
import static org.bytedeco.cuda.global.cudart.cudaMemcpyHostToDevice;
import static org.bytedeco.cuda.global.cudart.cudaSetDevice;
import static org.bytedeco.cuda.global.cudart.cudaStreamCreate;
import static org.bytedeco.cuda.global.cudart.cudaStreamDestroy;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.vblora.kernels.ops.Memory;
import org.bytedeco.cuda.cublas.cublasContext;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * JavaCPP's CUDA presets beside the kernels: one process, one stream, each other's memory. Products are of whole
 * numbers so small that float32 holds every sum, and so large that bfloat16 would not.
 */
@TestDevice.OnCuda
class CudaPresetsTest {
    private static final int M = 5;
    private static final int N = 3;
    private static final int K = 40;
    /** Elements between a matrix's last row and the next column. */
    private static final int GAP = 2;

    private static CUstream_st cudaStream;
    private static cublasContext cublas;

    @BeforeAll
    static void open() {
        try {
            cublas = new cublasContext();
            assertEquals(0, cublasCreate_v2(cublas));
        } catch (LinkageError e) {
            Assumptions.assumeFalse(TestDevice.isGpu(), "the presets lack CUDA's libraries: " + e.getMessage());
            throw e;
        }
        cudaStream = new CUstream_st();
        assertEquals(0, cudaSetDevice(DEVICE.index()));
        assertEquals(0, cudaStreamCreate(cudaStream));
        assertEquals(0, cublasSetStream_v2(cublas, cudaStream));
    }

    @AfterAll
    static void close() {
        if (cudaStream != null) {
            assertEquals(0, cublasDestroy_v2(cublas));
            assertEquals(0, cudaStreamDestroy(cudaStream));
        }
    }

    @Test
    void seeTheSameDevices() {
        int[] count = new int[1];
        assertEquals(0, cudaGetDeviceCount(count));
        assertEquals(Device.probeCuda().count(), count[0]);
    }

    /** A and B come in the presets' memory, are rounded to bfloat16 by an op, multiplied, and read through a tensor. */
    @ParameterizedTest(name = "A transposed: {0}, B transposed: {1}")
    @CsvSource({"false, false", "true, false", "false, true", "true, true"})
    void multiplyOnTheirStream(boolean transA, boolean transB) {
        int lda = (transA ? K : M) + GAP;
        int ldb = (transB ? N : K) + GAP;
        int ldc = M + GAP;
        float[] a = numbers(lda * (transA ? M : K), 7);
        float[] b = numbers(ldb * (transB ? K : N), 11);
        float[] c = numbers(ldc * N, 5);
        try (Stream stream = Stream.wrap(DEVICE, cudaStream); FloatPointer one = new FloatPointer(1f);
                FloatPointer minusTwo = new FloatPointer(-2f);
                Tensor a16 = TestDevice.zeros(DType.BFLOAT16, a.length);
                Tensor b16 = TestDevice.zeros(DType.BFLOAT16, b.length); Tensor c32 = TestDevice.of(c, c.length)) {
            Pointer da = upload(a);
            Pointer db = upload(b);
            Memory.convert(stream, Tensor.wrap(DEVICE, DType.FLOAT32, da, a.length), a16);
            Memory.convert(stream, Tensor.wrap(DEVICE, DType.FLOAT32, db, b.length), b16);
            assertEquals(0, cublasGemmEx(cublas, transA ? CUBLAS_OP_T : CUBLAS_OP_N, transB ? CUBLAS_OP_T : CUBLAS_OP_N,
                    M, N, K, one, a16.pointer(), CUDA_R_16BF, lda, b16.pointer(), CUDA_R_16BF, ldb, minusTwo,
                    c32.pointer(), CUDA_R_32F, ldc, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
            stream.synchronize();
            assertEquals(0, cudaFree(da));
            assertEquals(0, cudaFree(db));

            for (int j = 0; j < N; j++) {
                for (int i = 0; i < M; i++) {
                    int sum = 0;
                    for (int p = 0; p < K; p++) {
                        sum += (int) a[transA ? p + i * lda : i + p * lda]
                                * (int) b[transB ? j + p * ldb : p + j * ldb];
                    }
                    c[i + j * ldc] = sum - 2 * c[i + j * ldc];
                }
            }
            assertArrayEquals(c, c32.toFloats());
        }
    }

    /** Odd whole numbers up to 255, which bfloat16 holds. */
    private static float[] numbers(int count, int seed) {
        float[] numbers = new float[count];
        for (int i = 0; i < count; i++) {
            numbers[i] = 1 + 2 * ((i + 1) * seed * 37 % 128);
        }
        return numbers;
    }

    private static Pointer upload(float[] values) {
        Pointer memory = new Pointer();
        try (FloatPointer host = new FloatPointer(values)) {
            long bytes = (long) values.length * Float.BYTES;
            assertEquals(0, cudaMalloc(memory, bytes));
            assertEquals(0, cudaMemcpyAsync(memory, host, bytes, cudaMemcpyHostToDevice, cudaStream));
        }
        return memory;
    }
}
