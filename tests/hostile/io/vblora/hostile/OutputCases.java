package io.vblora.hostile;

import io.vblora.hostile.Case.Damage;
import io.vblora.hostile.Case.Expect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Outputs in places where something else is, most of it the input of the same command. */
final class OutputCases {
    private OutputCases() {}

    static List<Case> all() {
        List<Case> cases = new ArrayList<>();
        for (String place : List.of("llama", "llama/config.json", "train.txt", "/dev/null", "/proc", "llama/../llama",
                "link", "x".repeat(256))) {
            cases.add(refused("finetune --output " + place, World.with(World.FINETUNE_TEXT, "--output", place)));
        }
        for (String place : List.of("text/adapter_model.safetensors", "text/adapter_config.json",
                "./text/../text/adapter_model.safetensors", "hard link", "text", "/proc/x",
                "no/folder/d.safetensors")) {
            cases.add(refused("delta --output " + place, World.with(World.DELTA, "--output", place)));
        }
        for (String place : List.of("train.txt", "llama/config.json", "llama/tokenizer.json",
                "llama/model-00001-of-00002.safetensors", "no/folder/metrics.jsonl", "llama")) {
            cases.add(refused("finetune --metrics " + place, World.with(World.FINETUNE_TEXT, "--metrics", place)));
        }
        for (String place : List.of("train.csv", "bert/config.json", "bert/model.safetensors", "bert/tokenizer.json",
                "sequences/adapter_model.safetensors", "sequences/task_config.json", "no/folder/p.tsv", "bert")) {
            cases.add(refused("evaluate --predictions " + place,
                    World.with(World.EVALUATE_SEQUENCES, "--predictions", place)));
        }
        cases.add(new Case("output: a rate that explodes in the only step", Damage.NONE,
                World.with(World.with(World.with(World.FINETUNE_TEXT, "--learning-rate-vector-bank", "1e30"),
                        "--max-steps", "1"), "--warmup-steps", "0"), Expect.REFUSED));
        cases.add(new Case("output: a rate that explodes, with held-out data", Damage.NONE,
                World.with(World.with(World.with(World.with(World.FINETUNE_TEXT, "--learning-rate-vector-bank", "1e30"),
                        "--max-steps", "1"), "--warmup-steps", "0"), "--eval", "train.txt"), Expect.REFUSED));
        return cases;
    }

    private static Case refused(String name, List<String> command) {
        return new Case("output: " + (name.length() > 100 ? name.length() + " characters" : name), (folder, random) -> {
            Files.createSymbolicLink(folder.resolve("link"), Path.of("llama"));
            Files.createLink(folder.resolve("hard link"), folder.resolve("text/adapter_model.safetensors"));
        }, command, Expect.REFUSED);
    }
}
