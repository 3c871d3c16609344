# Names of the Debian packages that building and testing need, and a function that installs what is missing.
# To be sourced: `. Scripts/packages.sh; need_packages $BUILD_PACKAGES`.

BUILD_PACKAGES="git python3 pkg-config libssh2-1-dev libssl-dev libsqlite3-dev zlib1g-dev"
LAB_PACKAGES="tor openssh-server openssh-client transmission-daemon transmission-cli iproute2 util-linux procps"
BROWSER_PACKAGES="chromium chromium-driver python3-selenium fonts-dejavu-core"
TEST_PACKAGES="python3-pytest python3-yaml tmux strace"

# Installs as root or by sudo what is not there; otherwise prints the one command to run, and fails.
need_packages() {
    missing=""
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command="apt-get install -y --no-install-recommends$missing"
    if [ "$(id -u)" = 0 ]; then
        become=""
    elif sudo -n true 2>/dev/null; then
        become="sudo"
    else
        printf 'These Debian packages are missing:%s\nInstall them with\n    sudo %s\nand run this again.\n' \
            "$missing" "$command" >&2
        return 3
    fi
    echo "Installing$missing" >&2
    $become apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive $become $command -qq >&2
}
