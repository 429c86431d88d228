import pytest

from freehold.workflows.incumbent.source_text import manifest_kind, module_of, read_manifest

MANIFESTS = {
    "package.json": (
        '{\n  "name": "ai",\n  "dependencies": {\n    "ai": "^5",\n    "groq-sdk": "1"\n  }\n}',
        ["ai", "groq-sdk"],
    ),
    "composer.json": ('{\n "require": {\n  "openai-php/client": "*"\n }\n}', ["openai-php/client"]),
    "requirements.txt": ("openai>=1  # x\n# groq\ngoogle-genai\n-r other.txt\n", ["openai", "google.genai"]),
    "requirements-dev.in": ("llama-index-llms-openai==1\n", ["llama_index.llms.openai"]),
    "pyproject.toml": (
        '[project]\nname = "x"\ndependencies = ["litellm[proxy]>=1"]\n[tool.poetry.dependencies]\ngroq = "^1"\n',
        ["litellm", "groq"],
    ),
    "go.mod": (
        "module x\nrequire (\n\tgithub.com/openai/openai-go v1.2.0\n)\n",
        ["github.com/openai/openai-go"],
    ),
    "Cargo.toml": (
        '[dependencies]\nasync-openai = "0.2"\nserde = { version = "1" }\n',
        ["async_openai", "serde"],
    ),
    "Gemfile": ('source "https://x"\ngem "ruby-openai", "~> 7"\n', ["ruby-openai"]),
    "pom.xml": ("<dependency>\n<groupId>com.openai</groupId>\n</dependency>", ["com.openai"]),
    "build.gradle.kts": ('implementation("com.openai:openai-java:1.0")', ["com.openai"]),
    "App.csproj": ('<PackageReference Include="Azure.AI.OpenAI" Version="2" />', ["Azure.AI.OpenAI"]),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_what_a_manifest_asks_for_is_read(name):
    source, packages = MANIFESTS[name]
    found = read_manifest(source, manifest_kind(name))
    assert [word.text for word in found if word.text != "x"] == packages
    for word in found:
        written = source.splitlines()[word.line - 1][word.column - 1 :]
        assert module_of(written.split('"')[0])[:3] or written


def test_other_files_are_no_manifests():
    assert manifest_kind("src/app.json") is None
    assert manifest_kind("deep/package.json") == "package.json"
    assert read_manifest("{{ template }}", "package.json") == []


def test_a_python_package_is_known_by_its_module():
    assert module_of("LangChain_OpenAI") == "langchain_openai"
    assert module_of("google-cloud-aiplatform") == "vertexai"
