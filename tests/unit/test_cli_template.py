"""The template language, on what people ask of it."""

import pytest

from onggi.cli.output.template import BadTemplate, Template

WEB = {
    "Name": "web",
    "State": {"Status": "running", "Pid": 42, "Paused": False, "Error": ""},
    "Config": {"Env": ["A=1", "B=2"], "Labels": {"app": "guestbook", "tier": "front"}, "Cmd": None},
    "Mounts": [{"Destination": "/a"}, {"Destination": "/b"}],
    "Ports": {},
}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("{{.Name}}", "web"),
        ("{{ .State.Status }}!", "running!"),
        ("{{.State.Paused}}", "false"),
        ("{{.Config.Cmd}}", "<no value>"),
        ("{{.Config.Cmd.First}}", "<no value>"),
        ("{{.Config.Env}}", "[A=1 B=2]"),
        ("{{.Config.Labels}}", "map[app:guestbook tier:front]"),
        ("{{json .Config.Labels}}", '{"app":"guestbook","tier":"front"}'),
        ("{{json .Config.Cmd}}", "null"),
        ('{{index .Config.Labels "app"}}', "guestbook"),
        ('{{index .Config.Labels "none"}}', ""),
        ("{{index .Config.Env 1}}", "B=2"),
        ("{{(index .Mounts 1).Destination}}", "/b"),
        ("{{((.)).State.Status | upper}}", "RUNNING"),
        ("{{.Name | upper}}", "WEB"),
        ("{{upper .Name | lower | json}}", '"web"'),
        ('{{join .Config.Env ","}}', "A=1,B=2"),
        ('{{json (split "a:b" ":")}}', '["a","b"]'),
        ("{{len .Mounts}}", "2"),
        ("{{println .Name .State.Pid}}", "web 42\n"),
        ('{{print "a" 1 true nil}}', "a1true<no value>"),
        ('{{printf "%s: %d, %v, %q" .Name .State.Pid .Ports .Name}}', 'web: 42, map[], "web"'),
        ("{{truncate .Name 2}}", "we"),
        ("{{title .Name}}", "Web"),
        ("{{pad .Name 1 2}}|", " web  |"),
        ("{{if .State.Error}}bad{{else}}good{{end}}", "good"),
        ("{{if .State.Paused}}p{{else if eq .State.Status `running`}}r{{else}}x{{end}}", "r"),
        ("{{if not .Ports}}none{{end}}", "none"),
        ("{{if and .Name (gt .State.Pid 40)}}yes{{end}}", "yes"),
        ('{{or .State.Error "fine"}}', "fine"),
        ("{{range .Mounts}}{{.Destination}} {{end}}", "/a /b "),
        ("{{range .Config.Labels}}{{.}};{{end}}", "guestbook;front;"),
        ("{{range .Ports}}x{{else}}no ports{{end}}", "no ports"),
        ("{{with .State}}{{.Status}}{{end}}", "running"),
        ("{{with .Ports}}x{{else}}none{{end}}", "none"),
        ("a {{- .Name -}} b", "awebb"),
        ("{{/* nothing */}}x", "x"),
        ('{{"a\\tb"}}', "a\tb"),
        ("{{eq .Name `a` `web`}} {{ne 1 2}} {{lt 1 2}}", "true true true"),
        ("{{le 2 2}} {{ge 1 2}}", "true false"),
    ],
)
def test_results(text: str, result: str) -> None:
    assert Template(text).render(WEB) == result


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{.ID", "unclosed action: '{{' without '}}'"),
        ("{{}}", "missing value for command: nothing between the braces"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{if .Name}}x", "{{if …}} has no {{end}}"),
        ("{{if .Name}}x{{else}}y", "{{if …}} has no {{end}}"),
        ("{{if .Name}}x{{else range .Mounts}}y{{end}}", "unexpected {{else range .Mounts}}"),
        ("{{$x = 1}}", "unexpected '=' in {{$x = 1}}"),
        ("{{$x, $y := 1}}", "two variables in {{$x, $y := 1}}"),
        ("{{if $x, $y := 1}}{{end}}", "two variables in {{if $x, $y := 1}}"),
        ("{{.Name | }}", "missing value after '|'"),
        ("{{.Name | .Name}}", "'.Name' is not a function"),
        ("{{.Name )}}", "unexpected ')' in {{.Name )}}"),
        ("{{(.Name}}", "'(' without ')'"),
        ("{{.Name ; .Name}}", "unexpected ';' in {{.Name ; .Name}}"),
        ("{{upper |}}", "missing value after '|'"),
    ],
)
def test_what_does_not_parse(text: str, why: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        Template(text)
    assert caught.value.message == f"template: {why}"
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{$n := .Name}}{{$n}} {{$n | upper}}", "web WEB"),
        ("{{range $i, $e := .Config.Env}}{{$i}}:{{$e}} {{end}}", "0:A=1 1:B=2 "),
        ("{{range $e := .Config.Env}}{{$e}}={{.}} {{end}}", "A=1=A=1 B=2=B=2 "),
        ("{{range .Config.Env}}{{$.Name}} {{end}}", "web web "),
        ("{{with $s := .Name}}{{$s}}{{end}}", "web"),
        ("{{if $s := .Name}}{{$s}}{{end}}", "web"),
        ("{{range $k, $v := .Config}}{{$k}}={{index $v 0}} {{end}}", "Env=A=1 "),
        ("{{$x := 1}}{{with .Config}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        ("{{$c := .Config}}{{index $c.Env 1}} {{len $c.Env}}", "B=2 2"),
        ("{{range $i, $e := .Config.None}}x{{else}}none{{end}}", "none"),
    ],
)
def test_variables(text: str, result: str) -> None:
    settings = {"Env": ["A=1", "B=2"]} if "None" not in text else {"None": None}
    web = {"Name": "web", "Config": settings}
    assert Template(text).render(web) == result


def test_a_variable_that_nobody_declared() -> None:
    with pytest.raises(BadTemplate, match=r'undefined variable "\$x"'):
        Template("{{if true}}{{$x := 1}}{{end}}{{$x}}").render({})


def test_an_unknown_function_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadTemplate, match='function "frob" not defined; there are and, eq, ge'):
        Template("{{frob .Name}}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{.Nam}}", 'no "Nam" in .Nam; there are Config, Mounts, Name, Ports, State'),
        ("{{.Name.First}}", 'no "First" in .Name.First'),
        ("{{range .Name}}{{end}}", "range cannot go over web"),
        ("{{upper}}", "upper cannot work on nothing"),
        ("{{upper .Mounts}}", "upper cannot work on"),
        ("{{index .Config.Env 7}}", "index cannot work on [A=1 B=2] 7"),
        ("{{index .Name .Name}}", "index cannot work on web web: web has no entries"),
    ],
)
def test_what_does_not_fit_the_object(text: str, why: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        Template(text).render(WEB)
    assert caught.value.message.startswith(f"template: {why}")
