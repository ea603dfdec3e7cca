package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterFolder;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;

/** A command that is being run: which options it was given, how it refuses them, and where it prints. */
record Invocation(CommandSpec spec) {
    boolean isGiven(String option) {
        return spec.commandLine().getParseResult().hasMatchedOption(option);
    }

    void check(boolean condition, String message) {
        if (!condition) {
            throw wrongUse(message);
        }
    }

    /** Refuses options that are given although something else on the command line leaves them without meaning. */
    void refuse(List<String> options, String meaningless) {
        for (String option : options) {
            check(!isGiven(option), option + " means nothing " + meaningless);
        }
    }

    ParameterException wrongUse(String message) {
        return new ParameterException(spec.commandLine(), message);
    }

    /** The value of options; wrong values are reported as wrong use. */
    <T> T checked(Supplier<T> fromOptions) {
        try {
            return fromOptions.get();
        } catch (InputException e) {
            throw wrongUse(named(e).getMessage());
        }
    }

    /** The exception with the option's name, if the field was set by an option. */
    InputException named(InputException e) {
        String name = "--" + e.field().replace('_', '-');
        OptionSpec option = spec.findOption(name);
        return option == null ? e : new InputException(name, "", asTyped(option, e.found()), e.expected(), e);
    }

    /** What was found. If that is nothing but the option's number, it appears as it was typed: 1e-9, not 1.0E-9. */
    private static String asTyped(OptionSpec option, String found) {
        return option.originalStringValues().stream().filter(typed -> isSameNumber(typed, found)).findFirst()
                .orElse(found);
    }

    private static boolean isSameNumber(String typed, String found) {
        try {
            return typed.equalsIgnoreCase(found)
                    || Double.compare(Double.parseDouble(typed), Double.parseDouble(found)) == 0;
        } catch (NumberFormatException e) {
            return false;
        }
    }

    /** Says on standard error what is being done. */
    void say(String format, Object... arguments) {
        PrintWriter err = spec.commandLine().getErr();
        err.println("vblora: " + String.format(Locale.ROOT, format, arguments) + ".");
        err.flush();
    }

    /** Prints what one should know about an adapter. */
    void sayNotes(Adapter adapter) {
        adapter.notes().forEach(note -> say("%s", note));
    }

    PrintWriter out() {
        return spec.commandLine().getOut();
    }

    PrintWriter err() {
        return spec.commandLine().getErr();
    }

    /** @throws InputException if the folder is not an adapter's */
    static void requireAdapter(String option, Path folder) {
        AdapterFolder.files(folder).finish();
        if (!Files.exists(folder.resolve(AdapterConfig.FILE_NAME))) {
            throw new InputException(option, "", folder + whyNot(folder, AdapterConfig.FILE_NAME),
                    "an adapter's folder, as finetune writes it");
        }
    }

    /** @throws InputException if --model names nothing that the task could use as a model */
    static void requireModel(Task task, Path model) {
        if (task.isSequence()) {
            if (!Files.exists(model)) {
                throw new InputException("--model", "", model + ", which does not exist", "an encoder: a Hugging Face "
                        + "folder, a folder with model.onnx and tokenizer.json, or an .onnx file with tokenizer.json "
                        + "beside it");
            }
        } else if (!Files.exists(model.resolve("config.json"))) {
            throw new InputException("--model", "", model + whyNot(model, "config.json"), "a language model: a Hugging "
                    + "Face folder with config.json and model.safetensors; encoders are for "
                    + Task.SEQUENCE_CLASSIFICATION + " and " + Task.SEQUENCE_REGRESSION);
        }
    }

    /** Why a folder cannot be used that should hold a file and does not. */
    private static String whyNot(Path folder, String file) {
        return !Files.exists(folder) ? ", which does not exist"
                : Files.isDirectory(folder) ? ", which has no " + file : ", which is not a folder";
    }

    /** Those of the options that were given, as one would type them into a shell, each after a space. */
    String again(List<String> options) {
        StringBuilder typed = new StringBuilder();
        for (String option : options) {
            if (isGiven(option)) {
                Object value = spec.findOption(option).getValue();
                typed.append(' ').append(Boolean.FALSE.equals(value) ? option.replaceFirst("--", "--no-") : option);
                if (!(value instanceof Boolean)) {
                    typed.append(' ').append(quoted(value.toString()));
                }
            }
        }
        return typed.toString();
    }

    /** A word for a shell, quoted if necessary. */
    private static String quoted(String word) {
        return word.matches("[\\w./:@%+,-]+") ? word : "'" + word.replace("'", "'\\''") + "'";
    }

    /** How the command line was called, for hints on what to do next. */
    static String command() {
        return System.getProperty(Main.COMMAND, "vblora");
    }

    /** "1 thread", "2 threads". */
    static String count(long n, String noun) {
        return String.format(Locale.ROOT, "%,d %s%s", n, noun, n == 1 ? "" : "s");
    }
}
