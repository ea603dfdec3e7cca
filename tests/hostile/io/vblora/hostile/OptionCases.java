package io.vblora.hostile;

import io.vblora.hostile.Case.Damage;
import io.vblora.hostile.Case.Expect;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Every option that the help lists, with values that it does not expect. */
final class OptionCases {
    private static final Pattern OPTION = Pattern.compile("^ {6}(--[a-z-]+)=([A-Z]+)", Pattern.MULTILINE);
    private static final List<String> NUMBERS = List.of("", "-1", "0", "1", "NaN", "-Infinity", "1e39", "1e-46",
            "1e999", "2147483647", "2147483648", "9223372036854775808", "0.999999999", "abc", "0x10", "1,5", "\u0663");
    private static final List<String> TEXTS = List.of("", "-", "x".repeat(100_000), "(((a+)+)+)+Z",
            "(([a-z_.0-9]+)+)+Z", "[", "*", "../..", "\u202e", "\n", "a,,b", ",", "\ud83d\ude00");
    private static final List<String> PLACES = List.of("", "/", ".", "/dev/null", "/dev/full", "/proc/self/mem",
            "x".repeat(300), "no/such/folder", "train.txt/below", "~", "new\nline", "llama");

    private OptionCases() {}

    static List<Case> all(Path root) throws IOException, InterruptedException {
        List<Case> cases = new ArrayList<>();
        Path folder = Files.createDirectories(root.resolve("build/hostile/help"));
        Map<String, List<String>> commands = new LinkedHashMap<>();
        commands.put("finetune", World.FINETUNE_TEXT);
        commands.put("finetune sequences", World.FINETUNE_SEQUENCES);
        commands.put("evaluate", World.EVALUATE_TEXT);
        commands.put("evaluate sequences", World.EVALUATE_SEQUENCES);
        commands.put("delta", World.DELTA);
        for (Map.Entry<String, List<String>> entry : commands.entrySet()) {
            List<String> command = entry.getValue();
            String help = Run.of(folder, folder, List.of(command.get(0), "--help")).out();
            Matcher options = OPTION.matcher(help);
            int found = 0;
            while (options.find()) {
                found++;
                for (String value : values(options.group(2))) {
                    if (options.group(1).equals("--max-steps") && value.startsWith("214748364")) {
                        continue; // who asks for so many steps gets them
                    }
                    cases.add(new Case("option: " + entry.getKey() + " " + options.group(1) + "=" + named(value),
                            Damage.NONE, World.with(command, options.group(1), value), Expect.ANY));
                }
            }
            if (found == 0) {
                throw new IllegalStateException("no options in the help of " + command.get(0) + ":\n" + help);
            }
        }
        for (String first : List.of("", "-", "--", "fintune", "x".repeat(100_000), "\n", "--verbose", "@train.txt")) {
            cases.add(new Case("option: command " + named(first), Damage.NONE, List.of(first), Expect.ANY));
        }
        return cases;
    }

    private static List<String> values(String label) {
        return switch (label) {
            case "N", "X", "P", "RATE", "NORM", "SHARE" -> NUMBERS;
            case "PATH", "FILE", "DIR" -> PLACES;
            default -> TEXTS;
        };
    }

    private static String named(String value) {
        return value.length() > 40 ? value.length() + " characters" : value.replace("\n", "\\n");
    }
}
