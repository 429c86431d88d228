"""Names by which code shows whose models it uses: SDKs by package, addresses, environment variables of keys."""

from __future__ import annotations

import re

from freehold.catalog.retirements import Platform

SDKS: dict[str, str] = {
    # Python
    "openai": "OpenAI", "anthropic": "Anthropic", "cohere": "Cohere", "google.generativeai": "Google",
    "google.genai": "Google", "vertexai": "Google", "mistralai": "Mistral AI", "groq": "Groq", "litellm": "several",
    "langchain": "several", "langchain_community.chat_models": "several", "llama_index": "several",
    "semantic_kernel": "several", "pydantic_ai": "several", "instructor": "several", "dspy": "several",
    "xai_sdk": "xAI",
    # JavaScript
    "@anthropic-ai/sdk": "Anthropic", "@anthropic-ai/bedrock-sdk": "Anthropic on Bedrock",
    "@anthropic-ai/vertex-sdk": "Anthropic", "@google/generative-ai": "Google", "@google/genai": "Google",
    "@google-cloud/vertexai": "Google", "@mistralai/mistralai": "Mistral AI", "@azure/openai": "OpenAI on Azure",
    "groq-sdk": "Groq", "cohere-ai": "Cohere", "llamaindex": "several",
    "@aws-sdk/client-bedrock-runtime": "Amazon Bedrock",
    "@openrouter/ai-sdk-provider": "several", "openai-edge": "OpenAI",
    # Go
    "github.com/openai/openai-go": "OpenAI", "github.com/sashabaranov/go-openai": "OpenAI",
    "github.com/anthropics/anthropic-sdk-go": "Anthropic", "google.golang.org/genai": "Google",
    "github.com/google/generative-ai-go": "Google", "cloud.google.com/go/vertexai": "Google",
    "github.com/tmc/langchaingo": "several", "github.com/aws/aws-sdk-go-v2/service/bedrockruntime": "Amazon Bedrock",
    "github.com/cohere-ai/cohere-go": "Cohere", "github.com/Azure/azure-sdk-for-go/sdk/ai/azopenai": "OpenAI on Azure",
    # Java and Kotlin
    "com.openai": "OpenAI", "com.theokanning.openai": "OpenAI", "com.aallam.openai": "OpenAI",
    "com.anthropic": "Anthropic",
    "com.google.genai": "Google", "com.google.cloud.vertexai": "Google", "com.azure.ai.openai": "OpenAI on Azure",
    "software.amazon.awssdk.services.bedrockruntime": "Amazon Bedrock", "dev.langchain4j": "several",
    "org.springframework.ai": "several", "com.cohere": "Cohere",
    # C#
    "OpenAI": "OpenAI", "Azure.AI.OpenAI": "OpenAI on Azure", "Anthropic": "Anthropic", "Google.GenAI": "Google",
    "Mscc.GenerativeAI": "Google", "Microsoft.SemanticKernel": "several", "Amazon.BedrockRuntime": "Amazon Bedrock",
    "AWSSDK.BedrockRuntime": "Amazon Bedrock", "Google.Cloud.AIPlatform.V1": "Google",
    # Ruby and PHP
    "ruby-openai": "OpenAI", "ruby_llm": "several", "langchainrb": "several", "openai-php/client": "OpenAI",
    "openai-php/laravel": "OpenAI", "Prism\\Prism": "several", "prism-php/prism": "several",
    "google-gemini-php/client": "Google", "Gemini": "Google",
    # Rust
    "async_openai": "OpenAI", "async-openai": "OpenAI", "aws_sdk_bedrockruntime": "Amazon Bedrock", "rig": "several",
    "rig_core": "several", "genai": "several",
}  # fmt: skip

JAVASCRIPT_ONLY: dict[str, str] = {"ai": "several", "langchain": "several", "llamaindex": "several"}
"""Packages whose names are ordinary words elsewhere."""

_PARTNERS: dict[str, str] = {
    "openai": "OpenAI", "azure_openai": "OpenAI on Azure", "azure": "OpenAI on Azure", "anthropic": "Anthropic",
    "google": "Google", "google_genai": "Google", "google_vertexai": "Google", "google_vertex": "Google",
    "gemini": "Google", "vertex": "Google", "vertexai": "Google", "groq": "Groq", "mistralai": "Mistral AI",
    "mistral": "Mistral AI", "cohere": "Cohere", "aws": "Amazon Bedrock", "bedrock": "Amazon Bedrock",
    "bedrock_converse": "Amazon Bedrock", "amazon_bedrock": "Amazon Bedrock", "xai": "xAI", "deepseek": "DeepSeek",
    "community": "several",
}  # fmt: skip

VENDORS: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = (
    (re.compile(r"langchain_(\w+)"), _PARTNERS),
    (re.compile(r"@langchain/([\w-]+)"), _PARTNERS),
    (re.compile(r"@ai-sdk/([\w-]+)"), _PARTNERS),
    (re.compile(r"@llamaindex/([\w-]+)"), _PARTNERS),
    (re.compile(r"llama_index\.(?:llms|embeddings|multi_modal_llms)\.(\w+)"), _PARTNERS),
)
"""Families of packages with one part a vendor: the first group is the part."""

HOSTS: dict[str, str] = {
    "api.openai.com": "OpenAI", "api.anthropic.com": "Anthropic", "generativelanguage.googleapis.com": "Google",
    "openai.azure.com": "OpenAI on Azure", "services.ai.azure.com": "OpenAI on Azure",
    "aiplatform.googleapis.com": "Google", "api.cohere.ai": "Cohere", "api.cohere.com": "Cohere",
    "api.mistral.ai": "Mistral AI", "api.x.ai": "xAI", "api.groq.com": "Groq", "api.deepseek.com": "DeepSeek",
    "openrouter.ai/api": "several", "bedrock-runtime": "Amazon Bedrock",
}  # fmt: skip

KEYS: dict[str, str] = {
    "OPENAI_API_KEY": "OpenAI", "ANTHROPIC_API_KEY": "Anthropic", "GEMINI_API_KEY": "Google",
    "GOOGLE_API_KEY": "Google", "GOOGLE_GENERATIVE_AI_API_KEY": "Google", "AZURE_OPENAI_API_KEY": "OpenAI on Azure",
    "AZURE_API_KEY": "OpenAI on Azure", "COHERE_API_KEY": "Cohere", "CO_API_KEY": "Cohere",
    "MISTRAL_API_KEY": "Mistral AI", "GROQ_API_KEY": "Groq", "XAI_API_KEY": "xAI", "DEEPSEEK_API_KEY": "DeepSeek",
    "AWS_BEARER_TOKEN_BEDROCK": "Amazon Bedrock", "OPENROUTER_API_KEY": "several",
}  # fmt: skip

SHARED_PARTS: dict[str, Platform] = {"Groq": "groq", "DeepSeek": "deepseek", "xAI": "xai", "Cohere": "cohere"}
"""Vendors whose models have names that others use, too: a file that shows the vendor means that vendor's."""
