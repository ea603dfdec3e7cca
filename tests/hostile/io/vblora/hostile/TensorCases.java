package io.vblora.hostile;

import io.vblora.hostile.Case.Expect;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** Safetensors files whose header or numbers are not what they should be. */
final class TensorCases {
    private static final Map<String, List<String>> FILES = new LinkedHashMap<>();

    static {
        FILES.put("llama/model-00001-of-00002.safetensors", World.FINETUNE_TEXT);
        FILES.put("bert/model.safetensors", World.FINETUNE_SEQUENCES);
        FILES.put("text/adapter_model.safetensors", World.EVALUATE_TEXT);
        FILES.put("sequences/adapter_model.safetensors", World.EVALUATE_SEQUENCES);
    }

    private TensorCases() {}

    static List<Case> all() {
        Map<String, UnaryOperator<String>> headers = new LinkedHashMap<>();
        headers.put("empty", header -> "{}");
        headers.put("a list", header -> "[" + header + "]");
        headers.put("twice", header -> header + header);
        headers.put("other dtype", header -> header.replaceFirst("\"F32\"", "\"F64\""));
        headers.put("unknown dtype", header -> header.replaceFirst("\"F32\"", "\"Q4_0\""));
        headers.put("no dtype", header -> header.replaceFirst("\"dtype\":\"F32\",", ""));
        headers.put("negative shape", header -> header.replaceFirst("\"shape\":\\[", "\"shape\":[-"));
        headers.put("huge shape", header -> header.replaceFirst("\"shape\":\\[",
                "\"shape\":[4611686018427387904,4611686018427387904,"));
        headers.put("shape of text", header -> header.replaceFirst("\"shape\":\\[[^]]*]", "\"shape\":\"x\""));
        headers.put("negative offset", header -> header.replaceFirst("offsets\":\\[", "offsets\":[-"));
        headers.put("offset beyond the end", header -> header.replaceFirst("offsets\":\\[(\\d+),(\\d+)",
                "offsets\":[$1,$20000000"));
        headers.put("offset beyond 2^63", header -> header.replaceFirst("offsets\":\\[(\\d+),(\\d+)",
                "offsets\":[$1,99999999999999999999"));
        headers.put("overlap", header -> header.replaceAll("offsets\":\\[\\d+,", "offsets\":[0,"));
        headers.put("other name", header -> header.replaceFirst("\"base_model|\"model|\"bert", "\"other"));
        headers.put("control characters in a name", header -> header.replaceFirst("\"base_model|\"model|\"bert",
                "\"\\\\u0000\\\\u001b[31m\\\\u202e"));
        headers.put("metadata of numbers", header -> header.replaceFirst("\\{", "{\"__metadata__\":{\"a\":1},"));
        headers.put("metadata of 30 MB", header -> header.replaceFirst("\\{",
                "{\"__metadata__\":{\"a\":\"" + "x".repeat(30 << 20) + "\"},"));
        headers.put("100,000 more tensors", header -> {
            StringBuilder more = new StringBuilder("{");
            for (int i = 0; i < 100_000; i++) {
                more.append("\"t").append(i).append("\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},");
            }
            return more + header.substring(1);
        });
        List<Case> cases = new ArrayList<>();
        FILES.forEach((file, command) -> {
            headers.forEach((name, change) -> cases.add(new Case("tensors: " + file + ": header " + name,
                    (folder, random) -> rewrite(folder.resolve(file), change), command, Expect.ANY)));
            for (long length : new long[] {0, 1, 1L << 31, 1L << 40, -1, Long.MIN_VALUE}) {
                cases.add(new Case("tensors: " + file + ": header of " + length + " bytes", (folder, random) -> {
                    byte[] content = Files.readAllBytes(folder.resolve(file));
                    ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length);
                    Files.write(folder.resolve(file), content);
                }, command, Expect.REFUSED));
            }
            for (float value : new float[] {Float.NaN, Float.POSITIVE_INFINITY, 3e38f, -3e38f, 1e-45f}) {
                cases.add(new Case("tensors: " + file + ": all numbers " + value,
                        (folder, random) -> fill(folder.resolve(file), value), command, Expect.ANY));
            }
        });
        return cases;
    }

    private static void rewrite(Path file, UnaryOperator<String> change) throws IOException {
        byte[] content = Files.readAllBytes(file);
        int length = (int) ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).getLong();
        byte[] header = change.apply(new String(content, 8, length, StandardCharsets.UTF_8).strip())
                .getBytes(StandardCharsets.UTF_8);
        ByteBuffer changed = ByteBuffer.allocate(8 + header.length + content.length - 8 - length)
                .order(ByteOrder.LITTLE_ENDIAN);
        changed.putLong(header.length).put(header).put(content, 8 + length, content.length - 8 - length);
        Files.write(file, changed.array());
    }

    private static void fill(Path file, float value) throws IOException {
        ByteBuffer content = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        content.position(8 + (int) content.getLong(0));
        while (content.remaining() >= Float.BYTES) {
            content.putFloat(value);
        }
        Files.write(file, content.array());
    }
}
