# llmkit with the versions of constraints.txt, run by a user without root rights.
#
#   docker build --tag llmkit .                                  CPU
#   docker build --tag llmkit:cuda --build-arg TORCH=cu130 .     NVIDIA GPU (run with --gpus all)
#   docker run --rm --volume "$PWD:/workspace" --volume llmkit-cache:/cache llmkit finetune sentiment
#
# TORCH names the build of torch: cpu, cu126, cu128, cu130, ... (a value of `uv pip install --torch-backend`), or is
# empty for the build on the package index. Runs are written to /workspace; models and data are cached in /cache.
# Files belong to user 1000; where your user id differs, add --user "$(id -u):$(id -g)" to `docker run`.

FROM python:3.11-slim-trixie AS build
ARG TORCH=cpu
ARG EXTRAS=zh
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy VIRTUAL_ENV=/opt/llmkit
RUN pip install --no-cache-dir uv==0.13.9 && uv venv /opt/llmkit
WORKDIR /src
# The dependencies are a layer of their own: an edit of the code does not install them again.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --requirements pyproject.toml --extra "$EXTRAS" --constraints constraints.txt \
    ${TORCH:+--torch-backend "$TORCH"}
COPY README.md LICENSE ./
COPY recipes recipes
COPY llmkit llmkit
RUN --mount=type=cache,target=/root/.cache/uv uv pip install --no-deps .

FROM python:3.11-slim-trixie
RUN useradd --create-home --uid 1000 llmkit \
    && install --directory --owner llmkit --mode 1777 /cache /workspace
COPY --from=build /opt/llmkit /opt/llmkit
# /cache is writable by any --user; USER is asked for by libraries that look up who they run as.
ENV PATH=/opt/llmkit/bin:$PATH USER=llmkit \
    LLMKIT_CACHE=/cache/llmkit HF_HOME=/cache/huggingface MPLCONFIGDIR=/cache/matplotlib \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
WORKDIR /workspace
ENTRYPOINT ["llmkit"]
CMD ["--help"]
