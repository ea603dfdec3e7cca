package io.vblora.adapter.methods.vblora;

import io.vblora.adapter.peft.PeftFile;
import io.vblora.adapter.peft.StoredTensor;
import io.vblora.kernels.DType;
import io.vblora.kernels.Tensor;
import io.vblora.parameters.NamedTensors;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The compact form, PEFT's {@code save_only_topk_weights}. It holds the selected indices of each sub-vector, in the
 * smallest of PEFT's types that has room for them, and all weights but the last.
 */
final class TopkWeights {
    /** By how much the sum of a sub-vector's stored float32 weights may exceed 1. */
    private static final double SUM_TOLERANCE = 1e-5;

    private TopkWeights() {}

    /** The smallest of PEFT's types for an index below {@code numVectors}. */
    static DType indexDtype(int numVectors) {
        return numVectors < 1 << 8 ? DType.UINT8 : numVectors < 1 << 15 ? DType.INT16 : DType.INT32;
    }

    /** The tensors of this form. PEFT scatters top-k weights into float32 logits, for which they must be float32. */
    static List<StoredTensor> stored(VbLoraConfig config, LogitsRows rows) {
        int k = config.topk();
        List<StoredTensor> tensors = new ArrayList<>();
        tensors.add(new StoredTensor(VbLoraKeys.VECTOR_BANK, DType.FLOAT32,
                List.of((long) config.numVectors(), (long) config.vectorLength())));
        for (LogitsRows.Block block : rows.blocks()) {
            tensors.add(new StoredTensor(block.name() + VbLoraKeys.TOPK_INDICES, indexDtype(config.numVectors()),
                    block.shapeList(k)));
            tensors.add(new StoredTensor(block.name() + VbLoraKeys.TOPK_WEIGHTS, DType.FLOAT32,
                    block.shapeList(k - 1)));
        }
        return tensors;
    }

    /**
     * Adds the tensors of a block.
     *
     * @param asTheyAre whether the weights were read as float32 and are stored again unchanged
     */
    static void addTo(NamedTensors result, LogitsRows.Block block, int numVectors, int topk, Tensor indices,
            Tensor weights, boolean asTheyAre) {
        Tensor narrow = result.allocate(indexDtype(numVectors), block.shape(topk));
        narrowIndices(block.view(indices, topk), narrow);
        result.view(block.name() + VbLoraKeys.TOPK_INDICES, narrow);
        Tensor kept = result.allocate(DType.FLOAT32, block.shape(topk - 1));
        dropLast(block.view(weights, topk), kept, asTheyAre);
        result.view(block.name() + VbLoraKeys.TOPK_WEIGHTS, kept);
    }

    /**
     * Reads the selection of a block into the matrices of all indices and weights.
     *
     * @return whether the weights are stored as float32
     * @throws io.vblora.InputException if an index is not one of the bank's or occurs twice in a sub-vector, or if
     * weights are not in [0, 1] or add up to more than 1
     */
    static boolean read(PeftFile file, VbLoraConfig config, LogitsRows.Block block, Tensor allIndices,
            Tensor allWeights) {
        int h = config.numVectors();
        int k = config.topk();
        String indicesName = block.name() + VbLoraKeys.TOPK_INDICES;
        String weightsName = block.name() + VbLoraKeys.TOPK_WEIGHTS;
        file.expect(indicesName, "r, topk", block.shape(k));
        file.expect(weightsName, "r, topk - 1", block.shape(k - 1));
        int[] indices = readIndices(file, indicesName, h);
        float[] weights = file.readFloats(weightsName);
        DType dtype = file.dtype(weightsName);
        double tolerance = SUM_TOLERANCE + (k - 1) * roundOff(dtype);
        float[] all = new float[indices.length];
        Set<Integer> seen = new HashSet<>();
        for (int row = 0; row < block.rows(); row++) {
            double sum = 0;
            for (int j = 0; j < k - 1; j++) {
                float w = weights[row * (k - 1) + j];
                if (!(w >= 0 && w <= 1)) {
                    throw file.wrong(weightsName, w + " in sub-vector " + row,
                            "weights in [0, 1]");
                }
                sum += w;
                all[row * k + j] = w;
            }
            if (sum > 1 + tolerance) {
                throw file.wrong(weightsName, "a sum of " + sum + " in sub-vector " + row,
                        "at most 1");
            }
            // PEFT stores all weights but the last; rounding can make what is left negative.
            all[row * k + k - 1] = (float) Math.max(0, 1 - sum);
            seen.clear();
            for (int j = 0; j < k; j++) {
                if (!seen.add(indices[row * k + j])) {
                    throw file.wrong(indicesName,
                            indices[row * k + j] + " twice in sub-vector " + row, "different indices");
                }
            }
        }
        block.view(allIndices, k).copyFrom(indices);
        block.view(allWeights, k).copyFrom(all);
        return dtype == DType.FLOAT32;
    }

    /** Half a unit in the last place below 1, as far as it is more than that of float32, which the tolerance covers. */
    private static double roundOff(DType dtype) {
        return switch (dtype) {
            case BFLOAT16 -> 0x1p-9;
            case FLOAT16 -> 0x1p-12;
            default -> 0;
        };
    }

    private static int[] readIndices(PeftFile file, String name, int numVectors) {
        try (Tensor stored = file.read(name)) {
            DType dtype = stored.dtype();
            if (dtype.isNativeFloat() || dtype == DType.FLOAT64 || dtype == DType.BOOL) {
                throw file.wrong(name, "dtype " + dtype.code(),
                        "integers, " + indexDtype(numVectors).code() + " as PEFT stores them");
            }
            ByteBuffer bytes = stored.buffer(0, Math.toIntExact(stored.bytes()));
            int[] indices = new int[Math.toIntExact(stored.elements())];
            for (int i = 0; i < indices.length; i++) {
                long index = switch (dtype) {
                    case UINT8 -> bytes.get() & 0xff;
                    case INT8 -> bytes.get();
                    case INT16 -> bytes.getShort();
                    case INT32 -> bytes.getInt();
                    default -> bytes.getLong();
                };
                if (index < 0 || index >= numVectors) {
                    throw file.wrong(name, "index " + index + " at element " + i,
                            "0 to " + (numVectors - 1) + ", as num_vectors is " + numVectors);
                }
                indices[i] = (int) index;
            }
            return indices;
        }
    }

    /** Copies int32 [.., k] to the CPU in a smaller type, which has room for all values. */
    private static void narrowIndices(Tensor indices, Tensor result) {
        ByteBuffer to = result.buffer(0, Math.toIntExact(result.bytes()));
        for (int index : indices.toInts()) {
            switch (result.dtype()) {
                case UINT8 -> to.put((byte) index);
                case INT16 -> to.putShort((short) index);
                default -> to.putInt(index);
            }
        }
    }

    /**
     * [d0, d1, k] -> [d0, d1, k - 1].
     *
     * @param asTheyAre if false, weights that may leave less than nothing for the last one are scaled down
     */
    private static void dropLast(Tensor weights, Tensor result, boolean asTheyAre) {
        int k = Math.toIntExact(weights.dimension(2));
        float[] all = weights.toFloats();
        float[] kept = new float[all.length / k * (k - 1)];
        for (int row = 0; row < all.length / k; row++) {
            System.arraycopy(all, row * k, kept, row * (k - 1), k - 1);
            if (!asTheyAre) {
                leaveSome(kept, row * (k - 1), k - 1);
            }
        }
        result.copyFrom(kept);
    }

    /**
     * Scales weights down whose float32 sum may come out above 1: PEFT takes the logarithm of one minus that sum. In
     * any order the n - 1 additions round, as the n products do, by half a unit in the last place below 1 at most.
     */
    private static void leaveSome(float[] weights, int first, int n) {
        double sum = 0;
        for (int i = first; i < first + n; i++) {
            sum += weights[i];
        }
        double most = 1 - n * 0x1p-24;
        if (n > 1 && sum > most) {
            for (int i = first; i < first + n; i++) {
                weights[i] = (float) (weights[i] * (most / sum));
            }
        }
    }
}
