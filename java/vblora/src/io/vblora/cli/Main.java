package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.PrintableText;
import io.vblora.ServicesException;
import io.vblora.blas.BlasException;
import io.vblora.data.Overlong;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.NativeLibraryException;
import io.vblora.train.LrSchedulerType;
import io.vblora.train.TrainingException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.locks.ReentrantLock;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * The command {@code vblora}. Exit code 0: done; 1: failed; 2: wrong use. An error is one paragraph on standard error,
 * with a stack trace only under {@code --verbose}.
 */
@Command(name = "vblora", mixinStandardHelpOptions = true, versionProvider = Main.Version.class,
        subcommands = {DemoCommand.class, FinetuneCommand.class, EvaluateCommand.class, DeltaCommand.class,
            InspectCommand.class, DoctorCommand.class, BenchCommand.class, CommandLine.HelpCommand.class},
        description = "VB-LoRA fine-tuning for the JVM: parameter-efficient adapters that share one vector bank "
                + "(arXiv 2405.15179), read and written as Hugging Face PEFT does.",
        footer = {"", "Exit code: 0 done, 1 failed, 2 wrong use.",
            "'${COMMAND-FULL-NAME} COMMAND --help' explains a command and its options.",
            "In a checkout, './vblora test' runs the tests, and './vblora bundle' packs everything for machines "
                    + "without Java."})
public final class Main implements Runnable {
    /** System property in which a launcher says how it was called. */
    static final String COMMAND = "vblora.command";

    private static final ReentrantLock WRITING = new ReentrantLock();

    @Option(names = "--verbose", scope = ScopeType.INHERIT, description = "Print a stack trace with an error.")
    private boolean verbose;

    @Spec
    private CommandSpec spec;

    private final PrintStream err;

    private Main(PrintStream err) {
        this.err = err;
    }

    public static void main(String[] args) {
        Runtime.getRuntime().addShutdownHook(new Thread(WRITING::lock));
        System.exit(run(System.out, System.err, args));
    }

    /** Writes files that belong together; a Ctrl-C waits until the last of them is written. */
    static void write(Runnable files) {
        WRITING.lock();
        try {
            files.run();
        } finally {
            WRITING.unlock();
        }
    }

    /** Standard error. */
    PrintStream err() {
        return err;
    }

    /**
     * Runs a command line.
     *
     * @return its exit code
     */
    static int run(PrintStream out, PrintStream err, String... args) {
        // Errors in libraries reach us as exceptions; what the libraries print themselves would only get in the way
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "off");
        if (!Main.class.getModule().isNamed()) { // on the module path JavaCPP cannot read SLF4J
            System.setProperty("org.bytedeco.javacpp.logger", "slf4j");
        }
        Main main = new Main(err);
        CommandLine commandLine;
        try {
            commandLine = main.commandLine(out);
        } catch (RuntimeException e) { // some options and their help are those of services
            Throwable cause = e;
            while (cause != null && !(cause instanceof ServicesException)) {
                cause = cause.getCause(); // picocli wraps what its commands throw
            }
            if (cause == null) {
                throw e;
            }
            err.println(inOneLine(cause.getMessage()));
            return ExitCode.SOFTWARE;
        }
        try {
            return commandLine.execute(args);
        } catch (OutOfMemoryError | LinkageError | StackOverflowError e) {
            return main.report(e);
        }
    }

    private CommandLine commandLine(PrintStream out) {
        CommandLine commandLine = new CommandLine(this)
                .setCommandName(Invocation.command())
                .setOut(new PrintWriter(out, true))
                .setErr(new PrintWriter(err, true))
                .setHelpFactory(HelpWidth::helpFor)
                .setParameterExceptionHandler((e, arguments) -> reportWrongUse(e))
                .setExecutionExceptionHandler((e, failed, parsed) -> report(e))
                .registerConverter(Path.class, Main::path);
        commandLine.setResourceBundle(new MethodWords());
        AdapterOptions.addOptionsOfMethods(commandLine.getSubcommands().get("finetune").getCommandSpec(),
                "adapterOptions", "trainingOptions");
        Numbers.register(commandLine);
        commandLine.registerConverter(boolean.class, Main::flag).registerConverter(Boolean.class, Main::flag);
        NamedValues.register(commandLine, DataFormat.class);
        NamedValues.register(commandLine, DeviceOption.class);
        NamedValues.register(commandLine, DtypeOption.class);
        NamedValues.register(commandLine, Overlong.class);
        NamedValues.register(commandLine, Task.class);
        NamedValues.register(commandLine, PoolingOption.class);
        NamedValues.register(commandLine, LrSchedulerType.class);
        FinetuneCommand.groupOptions(commandLine.getSubcommands().get("finetune"));
        EvaluateCommand.groupOptions(commandLine.getSubcommands().get("evaluate"));
        return commandLine;
    }

    /** The text after the equals sign of an option that needs no value. */
    private static boolean flag(String text) {
        return switch (text.toLowerCase(Locale.ROOT)) {
            case "true" -> true;
            case "false" -> false;
            default -> throw new TypeConversionException("found " + PrintableText.of(text)
                    + "; expected no value, or true or false");
        };
    }

    /** The path that an option names. */
    static Path path(String text) {
        if (text.isEmpty()) {
            throw new TypeConversionException("found an empty path");
        }
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            String charset = System.getProperty("sun.jnu.encoding");
            throw new TypeConversionException("found " + PrintableText.of(text) + "; expected a path"
                    + (charset.equals(StandardCharsets.UTF_8.name()) ? ""
                            : " in the characters of this locale, " + charset
                                    + ": under the environment variable LC_ALL=C.UTF-8 a path may have all"));
        }
    }

    @Override
    public void run() {
        spec.commandLine().usage(spec.commandLine().getErr());
        throw new ParameterException(spec.commandLine(), "No command given");
    }

    private int reportWrongUse(ParameterException e) {
        CommandSpec command = e.getCommandLine().getCommandSpec();
        String wrong = e instanceof UnmatchedArgumentException unmatched ? unmatched(unmatched) : withOptionFirst(e);
        print(wrong.replaceFirst("\\.$", "") + ". '" + command.qualifiedName() + " --help' explains the "
                + (command.subcommands().isEmpty() ? "options" : "commands"));
        return ExitCode.USAGE;
    }

    /** What was not understood, without the values after unknown options, and what resembles it. */
    private static String unmatched(UnmatchedArgumentException e) {
        CommandSpec command = e.getCommandLine().getCommandSpec();
        List<String> options = e.getUnmatched().stream().filter(argument -> argument.startsWith("-")).toList();
        List<String> similar = e.getSuggestions();
        String first = PrintableText.of(e.getUnmatched().get(0));
        return (!options.isEmpty() ? "Unknown option" + (options.size() == 1 ? " " : "s ")
                + PrintableText.of(String.join(", ", options))
                : command.subcommands().isEmpty() ? "Unexpected argument " + first
                : "Unknown command " + first)
                + (similar.isEmpty() ? "" : "; similar: " + String.join(", ", similar))
                + (options.isEmpty() && !command.subcommands().isEmpty()
                        ? "; all commands: " + String.join(", ", command.subcommands().keySet()) : "");
    }

    /** picocli's message on a value that could not be read, in the form of our messages on values out of range. */
    private static String withOptionFirst(ParameterException e) {
        int found = e.getMessage().indexOf(": found ");
        if (!e.getMessage().startsWith("Invalid value for ") || found < 0) {
            return e.getMessage();
        }
        return (e.getArgSpec() instanceof OptionSpec option ? option.longestName() : e.getArgSpec().paramLabel())
                + e.getMessage().substring(found);
    }

    private int report(Throwable e) {
        print(explain(e));
        if (verbose) { // which tells nothing of wrong use
            e.printStackTrace(spec.commandLine().getErr());
            spec.commandLine().getErr().flush();
        }
        return ExitCode.SOFTWARE;
    }

    private void print(String message) {
        PrintWriter err = spec.commandLine().getErr();
        err.println(inOneLine(message));
        err.flush();
    }

    private static String inOneLine(String message) {
        return "vblora: error: "
                + PrintableText.message(message.strip().replaceAll("\\s*\\R\\s*", " ").replaceAll("\\.+$", "")) + ".";
    }

    private static String explain(Throwable e) {
        if (e instanceof InputException || e instanceof NativeLibraryException || e instanceof KernelException
                || e instanceof BlasException || e instanceof TrainingException
                || e instanceof UncheckedIOException || e instanceof ServicesException) {
            return e.getMessage();
        }
        if (e instanceof OutOfMemoryError) {
            return "Out of memory (" + e.getMessage() + "). Java's heap may grow to "
                    + Runtime.getRuntime().maxMemory() / (1 << 20)
                    + " MiB; the environment variable VBLORA_JAVA_OPTS=-Xmx... allows more, a smaller batch or shorter "
                    + "examples need less";
        }
        return "Internal error, please report it with the output under --verbose: " + e;
    }

    /** The version in the jar's manifest. */
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = Main.class.getPackage().getImplementationVersion();
            return new String[] {"vblora " + (version == null ? "(not from a jar)" : version)};
        }
    }
}
