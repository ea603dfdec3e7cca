package io.vblora.cli;

import picocli.CommandLine.Option;

/** The device whose kernels are checked or timed. */
final class KernelDeviceOption {
    @Option(names = "--device", paramLabel = "DEVICE", defaultValue = "cuda",
            description = "cuda, which is cuda:0; cuda:N; or cpu (default: ${DEFAULT-VALUE}).")
    private String name;

    /** The device's name, checked. */
    String name(Invocation invocation) {
        invocation.check(name.matches("cpu|cuda(:\\d{1,4})?"),
                "--device: found " + name + "; expected cuda, cuda:N or cpu");
        return name;
    }
}
