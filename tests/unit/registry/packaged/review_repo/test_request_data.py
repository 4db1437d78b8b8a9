"""Whether data of a request itself reaches a value, in the frameworks of several languages."""

from __future__ import annotations

import pytest

from registry.packaged.review_repo.request_data import source_of

REACHED = {
    "a parameter in the address of a Next.js handler": (
        (
            "export async function GET(request) {\n  const { searchParams } = new URL(request.url)\n"
            "  const url = searchParams.get('url')\n  return fetch(url)"
        ),
        "url",
    ),
    "a parameter of an address that is kept": (
        (
            "export async function GET(request) {\n  const own = new URL(request.url)\n"
            "  const url = own.searchParams.get('url')\n  return fetch(url)"
        ),
        "url",
    ),
    "the body of a Hono handler": (
        "app.post('/x', async (c) => {\n  const { url } = await c.req.json()\n  return fetch(url)",
        "url",
    ),
    "the payload of a hapi handler": (
        "const load = async (request, h) => {\n  const url = request.payload.url\n  return fetch(url)",
        "url",
    ),
    "a parameter that NestJS fills": (
        "  @Get()\n  async load(@Query('url') url: string) {\n    return fetch(url)",
        "url",
    ),
    "a parameter of a FastAPI route": (
        "@app.get('/f')\nasync def load(url: str = None):\n    return requests.get(url)",
        "url",
    ),
    "a host behind a scheme": (
        "def load():\n    page = 'http://' + request.args['host']\n    return requests.get(page)",
        "page",
    ),
    "a variable of PHP": ("<?php\n$url = $_GET['url'];\nheader(\"Location: $url\");", '"Location: $url")'),
    "a query of Gin": ('func f(c *gin.Context) {\n\tu := c.Query("u")\n\thttp.Get(u)', "u"),
}
NOT_REACHED = {
    "the address of the request itself": (
        "export async function GET(request) {\n  const url = new URL(request.url)\n  return fetch(url)",
        "url",
    ),
    "the own address of PHP": (
        "<?php\n$url = $_SERVER['REQUEST_URI'];\nheader('Location: ' . $url);",
        "'Location: ' . $url)",
    ),
    "a part of an address with a fixed host": (
        "def load():\n    url = f'https://api.example.org/{request.args[\"name\"]}'\n    return requests.get(url)",
        "url",
    ),
    "an address that a function makes": (
        "def go():\n    url = url_for('page', name=request.args['name'])\n    return redirect(url)",
        "url",
    ),
    "what a function makes of it on the line": (
        "def go():\n    url = request.args['url']\n    return redirect(allowed(url))",
        "allowed(url)",
    ),
    "a name that is assigned anew": (
        "def go():\n    url = request.args['url']\n    url = allowed(url)\n    return redirect(url)",
        "url",
    ),
}


@pytest.mark.parametrize(("code", "value"), REACHED.values(), ids=REACHED)
def test_data_of_a_request_is_followed_to_an_address(code: str, value: str) -> None:
    lines = code.split("\n")
    assert source_of(lines, len(lines), value, carried=True, whole=True)


@pytest.mark.parametrize(("code", "value"), NOT_REACHED.values(), ids=NOT_REACHED)
def test_an_address_that_a_request_does_not_choose_is_none(code: str, value: str) -> None:
    lines = code.split("\n")
    assert source_of(lines, len(lines), value, carried=True, whole=True) is None


@pytest.mark.parametrize(
    ("row", "reached"),
    [
        ("name = os.path.join(BASE, request.GET.get('name', ''))", "name comes from the request, line 2"),
        ("name = secure_filename(request.GET['name'])", None),
        ("name = User.objects.get(id=request.GET['id']).file", None),
    ],
)
def test_what_is_looked_up_or_made_with_a_request_is_not_its_data(row: str, reached: str | None) -> None:
    lines = ["def read(request):", f"    {row}", "    return open(name)"]
    assert source_of(lines, 3, "name", carried=True) == reached
