# The Homebrew formula of a release; `packaging/fill` fills it in.
class Sweep < Formula
  desc "Hyperparameter sweeps over many machines"
  homepage "@HOMEPAGE@"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "@URL@/sweep-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256:aarch64-apple-darwin@"
    end
    on_intel do
      url "@URL@/sweep-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256:x86_64-apple-darwin@"
    end
  end

  on_linux do
    on_arm do
      url "@URL@/sweep-@VERSION@-aarch64-unknown-linux-gnu.tar.gz"
      sha256 "@SHA256:aarch64-unknown-linux-gnu@"
    end
    on_intel do
      url "@URL@/sweep-@VERSION@-x86_64-unknown-linux-gnu.tar.gz"
      sha256 "@SHA256:x86_64-unknown-linux-gnu@"
    end
  end

  def install
    bin.install "bin/sweep"
    man1.install Dir["share/man/man1/*.1"]
    bash_completion.install "share/bash-completion/completions/sweep"
    zsh_completion.install "share/zsh/site-functions/_sweep"
    fish_completion.install "share/fish/vendor_completions.d/sweep.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/sweep --version")
    (testpath/"sweep.yaml").write <<~YAML
      method: grid
      command: [sh, -c, 'echo "{\\"loss\\": $SWEEP_PARAM_X}"']
      metric: {name: loss, goal: minimize}
      parameters: {x: {values: [1, 2]}}
    YAML
    system bin/"sweep", "run", "sweep.yaml", "--fail-if", "failed > 0"
  end
end
