package Doi::Browser;

# A real browser: headless Chromium, driven through chromedriver by the WebDriver
# protocol (W3C).
#
#   my $b = Doi::Browser->new(dir => $t->dir, width => 390, height => 844)
#       or plan(skip_all => 'no chromedriver');
#   $b->open($url);
#   $b->type('input[name=mail]', 'ada@example.com');
#   $b->click('button[value=confirm]');
#   like($b->text('h1'), qr/confirmed/);
#   $b->screenshot('confirmed.png');

use strict;
use warnings;

use Carp qw(croak);
use HTTP::Tiny ();
use JSON::PP ();
use MIME::Base64 ();
use Time::HiRes qw(time sleep);

my $json = JSON::PP->new->utf8->allow_nonref;


sub find {
    my ($name) = @_;

    for (split /:/, $ENV{PATH} // '') {
        return "$_/$name" if -x "$_/$name" && !-d "$_/$name";
    }

    return;
}


# undef without chromedriver or a browser.  Options: dir, width, height, dark,
# lang ('en'), no_js.

sub new {
    my ($class, %o) = @_;

    my $driver = find('chromedriver') or return;
    my $browser = find('chromium') // find('chromium-browser')
                  // find('google-chrome') or return;

    my $self = bless { %o, owner => $$ }, $class;
    $self->{http} = HTTP::Tiny->new(timeout => 120, no_proxy => '*',
                                    keep_alive => 0);

    my $log = "$o{dir}/chromedriver.log";

    my $pid = fork // croak "fork: $!";

    if ($pid == 0) {
        setpgrp 0, 0;
        delete $ENV{LD_PRELOAD};
        CORE::open STDOUT, '>', $log;
        CORE::open STDERR, '>&', \*STDOUT;
        CORE::open STDIN, '<', '/dev/null';
        exec $driver, '--port=0';
        exit 127;
    }

    $self->{pid} = $pid;

    my $end = time + 60;

    until ($self->{port}) {
        croak 'chromedriver does not start' if time > $end;
        sleep 0.05;
        CORE::open my $in, '<', $log or next;
        local $/;
        $self->{port} = $1 if (<$in> // '') =~ /successfully on port (\d+)/;
    }

    my @args = ('--headless=new', '--no-sandbox', '--disable-gpu',
                '--disable-dev-shm-usage', '--no-proxy-server',
                '--hide-scrollbars', '--lang=' . ($o{lang} // 'en'),
                '--user-data-dir=' . "$o{dir}/chromium",
                '--window-size=' . ($o{width} // 1024) . ','
                . ($o{height} // 768));
    push @args, '--force-dark-mode' if $o{dark};

    my %chrome = (binary => $browser, args => \@args,
                  prefs => { 'intl.accept_languages' => $o{lang} // 'en' });

    # A window is never as narrow as a phone: its screen is emulated.
    $chrome{mobileEmulation} =
        { deviceMetrics => { width => $o{width}, height => $o{height},
                             pixelRatio => 2, touch => JSON::PP::true } }
        if ($o{width} // 1024) < 500;

    my $session = $self->_call('POST', '/session', { capabilities =>
        { alwaysMatch => { browserName => 'chrome',
                           'goog:chromeOptions' => \%chrome } } });

    $self->{session} = "/session/$session->{sessionId}";
    $self->_no_js if $o{no_js};

    return $self;
}


# Scripts of pages do not run in this tab; those of the driver do.

sub _no_js {
    my ($self) = @_;

    $self->_call('POST', "$self->{session}/goog/cdp/execute",
                 { cmd => 'Emulation.setScriptExecutionDisabled',
                   params => { value => JSON::PP::true } });
}


sub _call {
    my ($self, $method, $path, $data) = @_;

    my %o;

    if ($method eq 'POST') {
        $o{content} = $json->encode($data // {});
        $o{headers} = { 'Content-Type' => 'application/json' };
    }

    my $r = $self->{http}->request(
        $method, "http://127.0.0.1:$self->{port}$path", \%o);
    my $answer = eval { $json->decode($r->{content}) };

    croak "WebDriver $method $path: $r->{status} "
          . ($answer ? $answer->{value}{message} // '' : $r->{content})
        if !$r->{success};

    return $answer->{value};
}


sub open { $_[0]->_call('POST', "$_[0]{session}/url", { url => $_[1] }) }
sub url { $_[0]->_call('GET', "$_[0]{session}/url") }
sub title { $_[0]->_call('GET', "$_[0]{session}/title") }
sub source { $_[0]->_call('GET', "$_[0]{session}/source") }
sub back { $_[0]->_call('POST', "$_[0]{session}/back") }
sub reload { $_[0]->_call('POST', "$_[0]{session}/refresh") }


# Another tab, which is then the one in front; the tabs by their handles.

sub tab {
    my ($self) = @_;

    my $tab = $self->_call('POST', "$self->{session}/window/new",
                           { type => 'tab' })->{handle};
    $self->switch($tab);
    $self->_no_js if $self->{no_js};

    return $tab;
}

sub tabs { $_[0]->_call('GET', "$_[0]{session}/window/handles") }

sub switch {
    $_[0]->_call('POST', "$_[0]{session}/window", { handle => $_[1] });
}


# The element for a CSS selector, waited for 30 seconds.

sub element {
    my ($self, $css) = @_;

    my $end = time + 30;

    for (;;) {
        my $found = eval { $self->_call('POST', "$self->{session}/element",
            { using => 'css selector', value => $css }) };

        return "$self->{session}/element/" . (values %$found)[0] if $found;

        croak "no $css in the page: " . $self->source if time > $end;
        sleep 0.1;
    }
}


# How many elements there are now.

sub count {
    my ($self, $css) = @_;

    return scalar @{ $self->_call('POST', "$self->{session}/elements",
        { using => 'css selector', value => $css }) };
}


sub text { my ($s, $css) = @_; $s->_call('GET', $s->element($css) . '/text') }

# Without JavaScript the driver cannot find out where to click: Enter will do.

sub click {
    my ($self, $css) = @_;

    return $self->type($css, "\x{E007}") if $self->{no_js};

    $self->_call('POST', $self->element($css) . '/click');
}

sub type {
    my ($self, $css, $text) = @_;

    $self->_call('POST', $self->element($css) . '/value', { text => $text });
}

sub script {
    my ($self, $script, @args) = @_;

    return $self->_call('POST', "$self->{session}/execute/sync",
                        { script => $script, args => \@args });
}


# Waits until an element has this text.

sub wait_text {
    my ($self, $css, $like) = @_;

    my $end = time + 30;
    my $text = '';

    while (time < $end) {
        $text = eval { $self->text($css) } // '';
        return $text if $text =~ $like;
        sleep 0.1;
    }

    return $text;
}


# Width that the page needs less that of the screen: more than 0 scrolls.

sub overflow {
    $_[0]->script('return document.documentElement.scrollWidth'
                  . ' - document.documentElement.clientWidth');
}


# Writes a PNG into DOI_SCREENSHOTS, if that is set.

sub screenshot {
    my ($self, $name) = @_;

    my $dir = $ENV{DOI_SCREENSHOTS} // return;

    CORE::open my $out, '>', "$dir/$name" or croak "$dir/$name: $!";
    binmode $out;
    print $out MIME::Base64::decode_base64(
        $self->_call('GET', "$self->{session}/screenshot"));
    close $out;
}


sub quit {
    my ($self) = @_;

    my $pid = delete $self->{pid} // return;

    eval { $self->_call('DELETE', $self->{session}) } if $self->{session};
    kill 'TERM', -$pid;
    waitpid $pid, 0;
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $@);
    $self->quit if $self->{owner} == $$;
}

1;
