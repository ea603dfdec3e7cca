package io.vblora.model.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.vblora.model.TokenBatch;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.IntStream;

/** ONNX Runtime on an encoder's file, on two threads. Its own exceptions do not get out: tests load without it. */
final class OrtRun implements AutoCloseable {
    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;

    OrtRun(Path file) {
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(2);
            this.session = environment.createSession(file.toString(), options);
        } catch (OrtException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The first output for a batch, of rows padded to the longest. */
    float[] output(TokenBatch rows) {
        long[][] mask = new long[rows.size()][rows.longest()];
        for (int row = 0; row < rows.size(); row++) {
            Arrays.fill(mask[row], 0, rows.length(row), 1);
        }
        try (OnnxTensor ids = OnnxTensor.createTensor(environment, matrix(rows, rows.inputIds()));
                OnnxTensor types = OnnxTensor.createTensor(environment, matrix(rows, rows.tokenTypeIds()));
                OnnxTensor attention = OnnxTensor.createTensor(environment, mask)) {
            Map<String, OnnxTensor> inputs = new HashMap<>(Map.of("input_ids", ids, "token_type_ids", types,
                    "attention_mask", attention));
            inputs.keySet().retainAll(session.getInputNames());
            try (OrtSession.Result result = session.run(inputs)) {
                FloatBuffer output = ((OnnxTensor) result.get(0)).getFloatBuffer();
                float[] values = new float[output.remaining()];
                output.get(values);
                return values;
            }
        } catch (OrtException e) {
            throw new IllegalStateException(e);
        }
    }

    private static long[][] matrix(TokenBatch rows, int[] values) {
        return IntStream.range(0, rows.size()).mapToObj(row -> Arrays.copyOf(Arrays.stream(values, rows.starts()[row],
                rows.starts()[row + 1]).asLongStream().toArray(), rows.longest())).toArray(long[][]::new);
    }

    @Override
    public void close() {
        try {
            session.close();
        } catch (OrtException e) {
            throw new IllegalStateException(e);
        }
    }
}
