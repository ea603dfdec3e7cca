package io.vblora.train;

import static io.vblora.kernels.global.vblora.vbl_allocated_bytes;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.data.CausalLmExample;
import io.vblora.kernels.DType;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import io.vblora.optimizer.adamw.AdamWRun;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Closing everything gives back all native memory, whether the work ended well or by an exception. */
class LeakTest {
    private static final Path MODEL = Golden.own("models/tinyrand");

    @TempDir
    Path folder;
    private long before;
    private Stream stream;

    @BeforeEach
    void measure() {
        NativeLibrary.load();
        before = vbl_allocated_bytes();
        stream = Stream.cpu(2);
    }

    @AfterEach
    void allIsGivenBack() {
        stream.close();
        assertEquals(before, vbl_allocated_bytes());
    }

    private void train(LlamaModel model, Execution execution, Adapter adapter) {
        model.attach(adapter);
        List<CausalLmExample> examples = IntStream.of(5, 30, 9)
                .mapToObj(n -> CausalLmExample.of(IntStream.range(0, n).toArray()))
                .toList();
        TrainingArguments arguments = TrainingArguments.builder().maxSteps(2).evalSteps(1).loadBestModelAtEnd(true)
                .build();
        new Trainer<>(new CausalLmObjective(model), execution, arguments, List.of()).train(examples, examples);
        try (AdamWRun adamW = AdamWRun.of(stream, 0, adapter.composition())) {
            adamW.moments().close();
        }
        adapter.composition().gradients(stream).close();
        adapter.save(folder.resolve("adapter"), false, stream);
        adapter.writeDelta(folder.resolve("delta.safetensors"), stream);
        Adapter.load(folder.resolve("adapter"), stream).close();
        assertTrue(vbl_allocated_bytes() > before);
    }

    @Test
    void afterTraining() {
        for (DType dtype : new DType[] {null, DType.BFLOAT16}) {
            try (Execution execution = new Execution(stream, Blas.on(stream.device()));
                    LlamaModel model = LlamaModel.load(MODEL, dtype, stream);
                    Adapter lora = Adapter.create(LoraConfig.builder().targetModules("all-linear").build(),
                            model.linears(), stream, 1);
                    Adapter dense = Adapter.create(VbLoraConfig.builder().targetModules("all-linear").numVectors(90)
                            .vectorLength(16).build(), model.linears(), stream, 1);
                    Adapter active = Adapter.create(VbLoraConfig.builder().targetModules("all-linear").numVectors(256)
                            .vectorLength(16).build(), model.linears(), stream, 1)) {
                train(model, execution, lora);
                train(model, execution, dense);
                train(model, execution, active);
                train(model, execution, active);
            }
        }
    }

    @Test
    void afterFailures() throws IOException {
        // A folder that is not complete yet.
        for (String file : List.of("config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors")) {
            Files.copy(MODEL.resolve(file), folder.resolve(file));
            assertThrows(InputException.class, () -> LlamaModel.load(folder, null, stream));
        }
        byte[] second = Files.readAllBytes(MODEL.resolve("model-00002-of-00002.safetensors"));
        Files.write(folder.resolve("model-00002-of-00002.safetensors"), second);
        LlamaModel.load(folder, DType.FLOAT16, stream).close();
        String config = Files.readString(folder.resolve("config.json"));
        assertTrue(config.contains("\"vocab_size\": 512"));
        Files.writeString(folder.resolve("config.json"), config.replace("\"vocab_size\": 512", "\"vocab_size\": 511"));
        assertThrows(InputException.class, () -> LlamaModel.load(folder, null, stream));
        Files.writeString(folder.resolve("config.json"), config.replace("\"tie_word_embeddings\": false",
                "\"tie_word_embeddings\": false, \"mlp_bias\": true"));
        assertThrows(InputException.class, () -> LlamaModel.load(folder, DType.BFLOAT16, stream));
        assertThrows(InputException.class, () -> Adapter.load(folder, stream));
        try (LlamaModel model = LlamaModel.load(MODEL, null, stream)) {
            assertThrows(InputException.class, () -> Adapter.create(VbLoraConfig.builder().targetModules("all-linear")
                    .vectorLength(7).build(), model.linears(), stream, 1));
            assertThrows(InputException.class, () -> Adapter.create(VbLoraConfig.builder().targetModules("nowhere")
                    .build(), model.linears(), stream, 1));
        }
    }
}
